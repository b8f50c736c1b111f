#!/bin/sh
# What docs/runbook.md names exists: metrics, log events, and variables.
set -u
cd "$(dirname "$0")/../.." || exit 2
words=$(grep -oE '`[A-Za-z0-9_.]+' docs/runbook.md | tr -d '`' | sort -u)
bad=0
for word in $words; do
    case $word in
    labelwire_* | *[a-z].[a-z]*) grep -rqF "\"$word\"" common services ;;
    LW_*) grep -qF "$word" deploy/CONFIG.md ;;
    *) continue ;;
    esac || { echo "docs/runbook.md: there is no $word"; bad=1; }
done
exit $bad
