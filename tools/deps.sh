#!/bin/sh
# Installs those of the given Debian packages that are missing, with apt-get, as root or through sudo.
# Usage: tools/deps.sh PACKAGE...
set -eu

if ! command -v dpkg-query >/dev/null; then
    echo "deps: this is not a Debian; if the build fails, install what these packages of Debian hold: $*"
    exit 0
fi
missing=
for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: missing packages, and neither root nor sudo to install them; as root: apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "deps: installing$missing"
# shellcheck disable=SC2086
$as_root apt-get update -q
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
