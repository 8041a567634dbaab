#!/usr/bin/env bash
# Copies the files of this tree that packages are made of, what is not committed yet included, to the directory TARGET.
#
#   packaging/source.sh TARGET
set -euo pipefail
mkdir -p "$1"
target=$(realpath "$1")
cd "$(dirname "$0")/.."
git -c safe.directory='*' ls-files -z --cached --others --exclude-standard -- \
    ipc launchd workers packaging requirements requirements.lock setup.cfg pyproject.toml README.md LICENSE '*.service' |
    tar -c --null --ignore-failed-read -T - | tar -x --no-same-owner -C "$target"
