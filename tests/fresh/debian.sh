#!/bin/bash
# Does the README work on a machine that has nothing? Makes a bare Debian in a folder, clones this checkout into it, and
# runs the README's commands there, as root in a chroot.
#
#   sudo tests/fresh/debian.sh bookworm|trixie [FOLDER]      FOLDER: kept for the next time; without it a temporary one
#
# Needs debootstrap. Packages come from where this machine gets its own.
set -euo pipefail
suite=${1:?usage: debian.sh bookworm|trixie [FOLDER]}
root=${2:-$(mktemp -d)}
here=$(cd "$(dirname "$0")/../.." && pwd)
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2>/dev/null | grep -oE "^(URIs:|deb) .*" | grep -oE "[a-z]+://[^ ]+" | head -1 || true)

leave() {
    for mounted in dev sys proc; do umount -R -l "$root/$mounted" 2>/dev/null || true; done
    [ $# -gt 0 ] || rm -rf --one-file-system "$root"
}
trap 'leave ${2:+kept}' EXIT

[ -x "$root/bin/bash" ] || debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" >/dev/null
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
cp -r /etc/ssl/certs/. "$root/etc/ssl/certs/"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs sys "$root/sys"
rm -rf "$root/root/carillon"
git clone -q "$here" "$root/root/carillon"

chroot "$root" /bin/bash -euc '
    cd /root/carillon
    apt-get update -qq && apt-get install -y -qq make >/dev/null
    mkfifo -m 600 /tmp/said.$$
    make run > /tmp/said.$$ &
    while read -r line && [ "${line#carillon ready}" = "$line" ]; do echo "$line"; done < /tmp/said.$$    # until it serves, or ends
    echo "$line"
    kill "$(grep -oE "pid=[0-9]+" <<< "$line" | cut -d= -f2)"
    wait
    rm /tmp/said.$$
    make test'
echo "$suite: make run and make test work"
