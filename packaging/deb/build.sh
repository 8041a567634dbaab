#!/usr/bin/env bash
# Builds the deb packages into the directory OUTPUT, in a copy of the tree: the same bytes each time.
#
#   packaging/deb/build.sh OUTPUT WHEELS [VERSION]
#
# WHEELS comes from packaging/fetch.sh. SOURCE_DATE_EPOCH is the time that all files get, by default the last commit's.
set -euo pipefail
mkdir -p "$1"
output=$(realpath "$1")
export LAUNCHD_WHEELS=$(realpath "$2")
cd "$(dirname "$0")/../.."

version=${3:-$(sed -n 's/^__version__ = "\(.*\)"/\1/p' launchd/__init__.py)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -c safe.directory='*' log -1 --format=%ct)}
maintainer=$(sed -n 's/^Maintainer: //p' packaging/deb/control)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
source=$scratch/launch-agent-$version
packaging/source.sh "$source"
sed -i "s/^__version__ = .*/__version__ = \"$version\"/" "$source/launchd/__init__.py"
mv "$source/packaging/deb" "$source/debian"
cat > "$source/debian/changelog" <<END
launch-agent ($version) unstable; urgency=medium

  * The changes are in CHANGELOG.md of the project.

 -- $maintainer  $(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
END
cd "$source"
# Python of the distribution, whatever else is on the PATH.
PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg-buildpackage --unsigned-source --unsigned-changes --build=binary --no-pre-clean
mv "$scratch"/*.deb "$scratch"/*.buildinfo "$scratch"/*.changes "$output"
