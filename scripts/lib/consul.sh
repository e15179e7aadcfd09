#!/usr/bin/env bash
# Leaves a Consul agent for the tests marked `services` and prints where it is; does nothing when
# there is one on PATH or in the cache folder. Usage: scripts/lib/consul.sh
#
# Debian 12 has no package of it, Debian 11 has (1.8). That package is unpacked into the cache
# folder, not installed: apt's own configuration, lists and package database stay as they are.
# STRANGLER_CONSUL names another cache folder, STRANGLER_CONSUL_MIRROR another Debian mirror.
set -euo pipefail

FOLDER=${STRANGLER_CONSUL:-${HOME:?}/.cache/strangler/consul}
MIRROR=${STRANGLER_CONSUL_MIRROR:-http://deb.debian.org/debian}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
    echo "strangler: no Consul agent for the tests: $*" >&2
    exit 1
}

present() {
    local binary
    for binary in "$(command -v consul || true)" "$FOLDER/consul"; do
        if [ -x "$binary" ] && "$binary" version >/dev/null 2>&1; then
            echo "$binary"
            return 0
        fi
    done
    return 1
}

private_apt() {
    apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o Dir::State::Status=/dev/null -o APT::Sandbox::User="$(id -un)" \
        -o APT::Update::Error-Mode=any -o Acquire::Retries=3 -o Acquire::http::Timeout=30 "$@" >&2
}

present && exit 0
for tool in apt-get dpkg-deb flock; do
    command -v "$tool" >/dev/null || fail "$tool is missing; put a consul binary on PATH or at $FOLDER/consul"
done
[ -r "$KEYRING" ] || fail "$KEYRING is missing; install the package debian-archive-keyring"
mkdir -p "$FOLDER" 2>/dev/null || fail "the folder $FOLDER cannot be made; STRANGLER_CONSUL names another"

# Two scripts started together must not unpack over each other.
exec 9>"$FOLDER/.lock"
flock -w 600 9 || fail "another script has held $FOLDER/.lock for ten minutes"
present && exit 0

work=$(mktemp -d "$FOLDER/.fetching.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo "deb [signed-by=$KEYRING] $MIRROR bullseye main" >"$work/sources.list"

echo "strangler: fetching Consul 1.8 of Debian 11 into $FOLDER (once; 23 MB) ..." >&2
private_apt update || fail "the package list of Debian 11 could not be read from $MIRROR (STRANGLER_CONSUL_MIRROR names another)"
(cd "$work" && private_apt download consul) || fail "the package consul of Debian 11 could not be fetched from $MIRROR"
dpkg-deb -x "$work"/consul_*.deb "$work/tree" || fail "the package that was fetched cannot be unpacked"
"$work/tree/usr/bin/consul" version >/dev/null || fail "the binary that was fetched does not run on this machine"
mv -f "$work/tree/usr/bin/consul" "$FOLDER/consul"
present || fail "nothing runs at $FOLDER/consul"
