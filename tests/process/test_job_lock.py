"""A job has one worker at a time, over all of its attempts."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from workers.job_lock import LOCK_FILE, acquire_job_lock

HOLD = """
import sys, time
from pathlib import Path
from workers.job_lock import acquire_job_lock
with acquire_job_lock(Path(sys.argv[1]), int(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_worker_of_this_or_an_earlier_attempt_is_ended(tmp_path: Path, attempt: int) -> None:
    first, present = tmp_path / "launchd-0a-1", tmp_path / f"launchd-0a-{attempt}"
    for directory in {first, present}:
        directory.mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(first), "1"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder, holder.stdout:
        assert holder.stdout.readline() == "held\n"
        with acquire_job_lock(present, attempt):
            wait_until(lambda: holder.poll() is not None, what="the earlier worker is ended")
    assert holder.returncode == -9


def test_another_job_is_left_alone(tmp_path: Path) -> None:
    other, present = tmp_path / "launchd-0a-1", tmp_path / "launchd-0b-2"
    other.mkdir()
    present.mkdir()
    with acquire_job_lock(other, 1), acquire_job_lock(present, 2):
        assert (other / LOCK_FILE).exists()
        assert (present / LOCK_FILE).exists()


def test_a_process_that_has_only_the_number_is_left_alone(tmp_path: Path) -> None:
    present = tmp_path / "launchd-0a-1"
    present.mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(present), "1"], stdout=subprocess.PIPE, text=True)
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert holder.stdout is not None
    assert stranger.stdin is not None
    with holder, holder.stdout, stranger, stranger.stdin:
        assert holder.stdout.readline() == "held\n"
        # As an earlier version left it, whose worker's number went to another process.
        (present / LOCK_FILE).write_text(str(stranger.pid))

        with acquire_job_lock(present, 1):
            assert holder.wait(20) == -9
            assert stranger.poll() is None
        stranger.kill()


def test_nothing_is_written(tmp_path: Path) -> None:
    present = tmp_path / "launchd-0a-1"
    present.mkdir()
    with acquire_job_lock(present, 1):
        assert (present / LOCK_FILE).stat().st_size == 0
