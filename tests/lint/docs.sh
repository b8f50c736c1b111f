#!/bin/sh
# The configuration manual comes from the programs' own tables.
#   docs.sh write   writes deploy/CONFIG.md and deploy/env.example
#   docs.sh check   fails when they are not what would be written
set -eu
cd "$(dirname "$0")/../.."
bin=${LABELWIRE_BIN:-build/dev/bin}
services='api-gateway upload-watcher recognizer callback-dispatcher rekognition-local'
out=$(mktemp -d) && trap 'rm -rf "$out"' EXIT

{
    echo '# Configuration'
    echo
    echo 'Every program is configured by environment variables only. This page is written by'
    echo "\`make docs\` from the tables in the programs; \`PROGRAM --config-help\` prints the same."
    for s in $services; do echo; "$bin/$s" --config-help=md; done
} > "$out/CONFIG.md"
for s in $services; do
    printf '#### %s\n\n' "$s"
    "$bin/$s" --config-help=env
done > "$out/env.example"

for f in CONFIG.md env.example; do
    if [ "$1" = write ]; then
        cp "$out/$f" "deploy/$f"
    elif ! cmp -s "$out/$f" "deploy/$f"; then
        echo "deploy/$f is stale: run make docs"
        exit 1
    fi
done
