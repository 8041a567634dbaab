#!/usr/bin/env bash
# Downloads the packages that stage.sh installs into the directory WHEELS, each with the hash that the lock files name.
#
#   packaging/fetch.sh WHEELS
set -euo pipefail
mkdir -p "$1"
wheels=$(realpath "$1")
cd "$(dirname "$0")/.."

python=${PYTHON:-/usr/bin/python3}
locks=(requirements.lock requirements/{server,postgres,venv,docker,gpu,metrics}.lock)
# What is there already, for these lock files and this Python.
fetched=$wheels/.fetched-$({ cat "${locks[@]}"; "$python" -VV; } | sha256sum | cut -c1-16)
[[ -e $fetched ]] && exit 0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch/tools"
for lock in "${locks[@]}"; do
    "$scratch/tools/bin/python" -m pip --disable-pip-version-check -qq download --require-hashes --no-deps \
        --only-binary :all: --dest "$wheels" --requirement "$lock"
done
touch "$fetched"
