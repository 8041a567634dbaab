#!/usr/bin/env bash
# Copies the files of this tree that packages are made of to the directory TARGET: what is not committed yet included, and
# nothing that git ignores; all of them where the tree is no clone.
#
#   packaging/source.sh TARGET
set -euo pipefail
mkdir -p "$1"
target=$(realpath "$1")
cd "$(dirname "$0")/.."
parts=(ipc launchd workers packaging requirements requirements.lock setup.cfg pyproject.toml README.md LICENSE)
if [[ -e .git ]]; then
    git -c safe.directory='*' ls-files -z --cached --others --exclude-standard -- "${parts[@]}" '*.service' |
        tar -c --null --ignore-failed-read -T - | tar -x --no-same-owner -C "$target"
else
    tar -c "${parts[@]}" ./*.service | tar -x --no-same-owner -C "$target"
fi
