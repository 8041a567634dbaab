#!/usr/bin/env bash
# Stages what the packages hold, below the directory DESTDIR: the one recipe of both deb and rpm.
#
#   packaging/stage.sh DESTDIR WHEELS
#
# WHEELS is a directory with the packages of requirements/*.lock (fetch.sh); nothing is downloaded here, and each file has
# the hash that the lock files name. PYTHON is the distribution's interpreter, which the tree belongs to.
set -euo pipefail
umask 022
destination=$(realpath --canonicalize-missing "$1")
wheels=$(realpath "$2")
cd "$(dirname "$0")/.."

python=${PYTHON:-/usr/bin/python3}
# Settings of the calling user's Python and pip reach no package: with a path to this project, pip would find it installed.
unset "${!PYTHON@}" "${!PIP_@}"
#: Where the tree will lie on the host.
prefix=/usr/lib/launch-agent
tree=$destination$prefix
# What a host needs: the queue server, environments of jobs, containers, GPUs.
locks=(server postgres venv docker gpu metrics)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch/tools"
pip() { "$scratch/tools/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
offline=(--no-index --find-links "$wheels")

# The environment. Its own record of the command that made it names the machine that built it.
mkdir -p "$destination"
"$python" -m venv --without-pip --symlinks "$tree"
sed -i '/^command = /d' "$tree/pyvenv.cfg"
for lock in "${locks[@]}"; do
    pip --python "$tree/bin/python" install "${offline[@]}" --require-hashes --no-deps --only-binary :all: --no-compile \
        --requirement "requirements/$lock.lock"
done

# The project itself; setuptools builds it and is not needed afterwards.
pip install "${offline[@]}" --require-hashes --no-deps --requirement requirements.lock
mkdir "$scratch/source"
cp -a setup.cfg pyproject.toml README.md LICENSE ipc launchd workers "$scratch/source"
pip wheel --no-index --no-deps --no-build-isolation --wheel-dir "$scratch" "$scratch/source"
pip --python "$tree/bin/python" install --no-index --no-deps --no-compile "$scratch"/launchd_agent-*.whl
pip --python "$tree/bin/python" uninstall --yes setuptools

# Manual pages, of the day of the build, and what shells complete.
day=$(date --utc --date="@${SOURCE_DATE_EPOCH:-0}" +%F)
install -d "$destination/usr/share/man/man1"
for page in packaging/man/*.1; do
    sed "1s/ 1 \"\" / 1 \"$day\" /" "$page" | gzip --best --no-name > "$destination/usr/share/man/man1/${page##*/}.gz"
done
completion() {
    install -d "$destination/usr/share/${2%/*}"
    _LAUNCHD_COMPLETE=$1_source "$tree/bin/python" -P -c 'from launchd.cli import main; main(prog_name="launchd")' \
        > "$destination/usr/share/$2"
}
completion bash bash-completion/completions/launchd
completion zsh "${ZSH_COMPLETIONS:-zsh/vendor-completions}/_launchd"
completion fish fish/vendor_completions.d/launchd.fish

# Commands of libraries are nobody's here, and their first lines name the machine that built them.
find "$tree/bin" -mindepth 1 ! -name python ! -name python3 ! -name 'python3.*' ! -name uv -delete
rm -rf "$tree/include" "$tree/lib64"
ln -sfn ../../../bin/python3 "$tree/bin/python3"
cat > "$tree/bin/launchd" <<END
#!$prefix/bin/python
import sys

from launchd.cli import main

sys.exit(main())
END
chmod 755 "$tree/bin/launchd"
"$python" packaging/tidy.py "$tree"

install -d "$destination/usr/bin"
ln -s "../lib/launch-agent/bin/launchd" "$destination/usr/bin/launchd"

# For editors of the configuration.
install -D -m 644 -t "$destination/usr/share/launch-agent" launchd/config/launch-config.schema.json

# Units, directories, the server's user.
install -D -m 644 -t "$destination/usr/lib/systemd/system" launch-agent.service launch-agent-jobs.service \
    launch-agent-server.service
install -D -m 644 packaging/config/launch-agent.tmpfiles "$destination/usr/lib/tmpfiles.d/launch-agent.conf"
install -D -m 644 packaging/config/launch-agent-server.sysusers "$destination/usr/lib/sysusers.d/launch-agent-server.conf"

# What Prometheus and Grafana make of the metrics.
install -D -m 644 packaging/prometheus/launchd.rules.yml "$destination/usr/share/launch-agent/prometheus/launchd.rules.yml"
install -D -m 644 packaging/grafana/launchd.json "$destination/usr/share/launch-agent/grafana/launchd.json"

# Configuration: files that administrators edit, readable by root alone.
install -d -m 750 "$destination/etc/launch-agent" "$destination/etc/launch-agent-server"
install -m 640 packaging/config/launch-config.yaml "$destination/etc/launch-agent/launch-config.yaml"
install -m 600 /dev/null "$destination/etc/launch-agent/api.key"
install -m 640 packaging/config/server.environment "$destination/etc/launch-agent-server/environment"

# Debian's rule for libraries; wheels differ.
find "$tree/lib" -type f -name '*.so*' -exec chmod 644 {} +
find "$destination" -name __pycache__ -prune -exec rm -rf {} +
