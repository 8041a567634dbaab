#!/usr/bin/env bash
# Brings, once, promtool, which checks alert rules, out of Debian's package of Prometheus: 19 MB, and no service is installed.
# usage: promtool.sh [DIRECTORY]
set -euo pipefail
home=${1:-/var/cache/launchd-promtool}
[ -x "$home/promtool" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq prometheus 2>/dev/null || { apt-get update -qq && apt-get download -qq prometheus 2>/dev/null; }
dpkg-deb --fsys-tarfile prometheus_*.deb | tar x ./usr/bin/promtool
mkdir -p "$home"
install -m 755 usr/bin/promtool "$home/promtool.new"
mv "$home/promtool.new" "$home/promtool"
