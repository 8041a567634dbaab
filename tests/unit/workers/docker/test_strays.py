"""Processes of containers that their engine has forgotten: found by their control group, and ended."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.control_groups import delegated_group
from workers.docker import strays

pytestmark = pytest.mark.root

CONTAINER = secrets.token_hex(32)

JOIN_AND_SLEEP = """
import os, sys, time
with open(f"{sys.argv[1]}/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
print("joined", flush=True)
os.fork()
time.sleep(60)
"""


@pytest.fixture(params=["{}", "docker-{}.scope", "libpod-{}.scope"])
def group(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A control group as engines make them for a container."""
    with delegated_group() as above:
        path = above / str(request.param).format(CONTAINER)
        path.mkdir()
        yield path


@pytest.fixture
def process(group: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in that group, with a child."""
    with subprocess.Popen([sys.executable, "-c", JOIN_AND_SLEEP, str(group)], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        yield running
        running.kill()


def test_processes_are_found_by_the_containers_id_and_ended(process: subprocess.Popen[bytes]) -> None:
    found = strays.processes_of({CONTAINER, "another"})

    assert process.pid in found[CONTAINER]
    assert strays.end(CONTAINER) == ()
    assert process.wait(10) == -9
    assert strays.processes_of({CONTAINER}) == {}


def test_another_containers_processes_are_left(process: subprocess.Popen[bytes]) -> None:
    assert strays.end(secrets.token_hex(32)) == ()
    assert process.poll() is None
