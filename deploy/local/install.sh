#!/usr/bin/env bash
# Install the Debian packages that building and running Labelwire needs: install.sh [--test]
# --test adds what the tests and linters need.  Does nothing, quickly, when all is there.
set -euo pipefail

packages=(build-essential pkg-config git curl ca-certificates openssl procps
    libcurl4-openssl-dev libssl-dev libhiredis-dev librdkafka-dev libcivetweb-dev libjpeg-dev libpng-dev
    redis-server maven python3 python3-venv)
# One version of LLVM by name, the same on both Debians: each version formats and warns differently.
test_packages=(clang-19 clang-tidy-19 clang-format-19 cppcheck shellcheck libcmocka-dev kcat wrk)

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

with_tests=no
case "${1-}" in
    '') ;;
    --test) with_tests=yes ;;
    -h | --help) sed -n '2,3s/^# //p' "$0" && exit ;;
    *) fail "unknown argument $1; try --help" ;;
esac

# shellcheck source=/dev/null
version=$(. /etc/os-release && echo "${ID-} ${VERSION_ID-}")
case $version in
    'debian 12') java=17 ;;
    'debian 13') java=21 ;;
    *)
        echo "install.sh: this is not Debian 12 or 13; see to it that you have Java 17 or later and what Debian calls" \
            "${packages[*]}" >&2
        exit 0
        ;;
esac
packages+=("openjdk-$java-jre-headless")
if [ "$with_tests" = yes ]; then
    packages+=("${test_packages[@]}")
fi

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null)
missing=()
for package in "${packages[@]}"; do
    if ! grep -qx "installed $package" <<<"$installed"; then
        missing+=("$package")
    fi
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! { command -v sudo && { [ -t 0 ] || sudo -n true; }; } >/dev/null 2>&1; then
        echo "Some packages are missing. As root, run:" >&2
        echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    root=(sudo)
fi

echo "installing ${#missing[@]} packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >"$log" 2>&1 </dev/null ||
        fail "apt-get $1 failed:"$'\n'"$(tail -n 20 "$log")"
}
apt update
apt install -y --no-install-recommends "${missing[@]}"
