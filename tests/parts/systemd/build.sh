#!/usr/bin/env bash
# Makes, once, the tree of a small Debian (SUITE=bookworm or trixie) whose process 1 is systemd, to be booted in a container
# (systemd-nspawn). Takes about a minute and 400 MB; what it makes lies in $SYSTEMD_TEST_HOME. EXTRA="pkg,pkg" adds Debian
# packages (another SYSTEMD_TEST_HOME for each set).
set -euo pipefail
home=${SYSTEMD_TEST_HOME:-/var/cache/launchd-systemd}
[ -e "$home/ready" ] && exit 0
missing=()
command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
if ((${#missing[@]})); then
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null
fi
mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -1)
rm -rf "$home" && mkdir -p "$home"
mmdebstrap --quiet --variant=minbase --include="systemd,systemd-sysv,dbus${EXTRA:+,$EXTRA}" "${SUITE:-bookworm}" "$home/tree.tar" "$mirror"
mkdir "$home/root"
tar -C "$home/root" -xf "$home/tree.tar"
rm "$home/tree.tar"
# Packages are downloaded from outside; the machine itself has no network.
cp /etc/resolv.conf "$home/root/etc/resolv.conf"
chroot "$home/root" apt-get update -q >/dev/null
touch "$home/ready"
