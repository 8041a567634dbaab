#!/usr/bin/env bash
# Builds the rpm packages into the directory OUTPUT, in a copy of the tree.
#
#   packaging/rpm/build.sh OUTPUT WHEELS [VERSION]
#
# WHEELS comes from packaging/fetch.sh. SOURCE_DATE_EPOCH is the time that all files get, by default the last commit's.
set -euo pipefail
mkdir -p "$1"
output=$(realpath "$1")
wheels=$(realpath "$2")
cd "$(dirname "$0")/../.."

version=${3:-$(sed -n 's/^__version__ = "\(.*\)"/\1/p' launchd/__init__.py)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -c safe.directory='*' log -1 --format=%ct)}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
packaging/source.sh "$scratch/top/BUILD"
cd "$scratch/top/BUILD"
sed -i "s/^__version__ = .*/__version__ = \"$version\"/" launchd/__init__.py
# Python of the distribution, whatever else is on the PATH.
PATH=/usr/sbin:/usr/bin:/sbin:/bin rpmbuild -bb --quiet --define "_topdir $scratch/top" --define "upstream_version $version" \
    --define "wheels $wheels" packaging/rpm/launch-agent.spec
mv "$scratch"/top/RPMS/*/*.rpm "$output"
