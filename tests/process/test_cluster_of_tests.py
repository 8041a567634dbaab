"""A machine has one cluster of the tests at a time: a second start says who has it, and makes nothing."""

import fcntl
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

UP = Path(__file__).parents[1] / "parts" / "kubernetes" / "up.sh"
LOCK = Path("/run/lock/launchd-kubernetes")


def test_a_second_start_names_the_first_and_makes_nothing(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "kube-apiserver"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    with LOCK.open("a") as lock:
        # Where a cluster is up, it is held already.
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        environ = {**os.environ, "KUBE_TEST_HOME": str(tmp_path)}
        done = subprocess.run(["bash", UP], env=environ, capture_output=True, text=True, check=False)

    if "is missing (apt-get install" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 1
    assert "a cluster of tests is up on this machine, or about to be: " in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin"]
