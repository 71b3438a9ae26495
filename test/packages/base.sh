#!/usr/bin/env bash
# Writes a fresh Debian 12 with systemd into a tar file: what packages are
# installed into by the tests. Works as root or through sudo.
set -euo pipefail

out=$1
root=()
if ((EUID != 0)); then root=(sudo); fi
trap 'rm -f "$out.part"' EXIT
"${root[@]}" mmdebstrap --quiet --mode=root --variant=essential --format=tar \
    --include=systemd,ca-certificates,init-system-helpers,passwd \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='Acquire::Languages "none"' \
    bookworm - >"$out.part"
mv "$out.part" "$out"
