"""Podman's service for the tests: an engine that speaks Docker's API, in directories of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.engine import TestEngine, started
from tests.support.parts import missing_part

#: What lets it run where limits cannot be raised and control groups are of version 1.
_SETTINGS = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
"""
_MISSING = "There is no podman here (Debian: apt-get install podman)"


@contextmanager
def running_podman() -> Iterator[TestEngine]:
    """Start podman's service, which only root may, with the tests' images; skips, or fails, where there is none."""
    if shutil.which("podman") is None:
        missing_part(_MISSING)
    directory = Path(tempfile.mkdtemp(prefix="launchd-podman-"))
    try:
        with _podman_in(directory) as engine:
            yield engine
    finally:
        shutil.rmtree(directory)


@contextmanager
def _podman_in(directory: Path) -> Iterator[TestEngine]:
    settings = directory / "containers.conf"
    settings.write_text(_SETTINGS)
    address = f"unix://{directory}/podman.sock"
    places = ("--root", f"{directory}/root", "--runroot", f"{directory}/run")
    # What an image is loaded from stays where the service is killed.
    own = (f"CONTAINERS_CONF={settings}", f"TMPDIR={directory}")
    command = ("env", *own, "podman", *places, "system", "service", "--time=0", address)
    with started(TestEngine(address, command, directory / "log"), directory) as engine:
        yield engine
