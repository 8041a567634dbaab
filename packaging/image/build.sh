#!/usr/bin/env bash
# Builds the image of the agent on the local engine.
#
#   packaging/image/build.sh [NAME:TAG]
#
# ENGINE is the command (docker, podman), NETWORK that of the build (host where the engine's own does not reach the package
# index). BASE, EXTRAS and PACKAGES are the arguments of the Dockerfile.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=${1:-localhost/launchd-agent:$(sed -n 's/^__version__ = "\(.*\)"/\1/p' launchd/__init__.py)}

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp -a setup.cfg pyproject.toml README.md LICENSE requirements.lock requirements ipc launchd workers "$context"
find "$context" -name __pycache__ -prune -exec rm -rf {} +
arguments=(${NETWORK:+--network "$NETWORK"})
for name in BASE EXTRAS PACKAGES; do
    [[ -v $name ]] && arguments+=(--build-arg "$name=${!name}")
done
"${ENGINE:-docker}" build --file packaging/image/Dockerfile --tag "$image" "${arguments[@]}" "$context"
echo "The image is $image."
