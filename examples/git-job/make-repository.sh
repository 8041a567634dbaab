#!/bin/sh
# Makes a git repository of job/ in the directory given, so that a git job can be shown without a network:
# the tag v1 holds version 1, the branch main version 2. Prints the repository's URI.
set -eu

target=${1:?usage: make-repository.sh DIRECTORY}
source=$(dirname "$0")/job

commit() {
    echo "$1" >"$target/VERSION"
    git -C "$target" add .
    git -C "$target" -c user.name=Example -c user.email=example@localhost commit --quiet --message "Version $1"
}

git init --quiet --initial-branch main "$target"
cp "$source/main.py" "$target"
commit 1
git -C "$target" tag v1
commit 2
echo "file://$(cd "$target" && pwd)"
