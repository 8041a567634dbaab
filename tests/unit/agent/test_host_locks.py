"""What an agent has to itself on its host: as two processes see it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ipc.settings import UserNumbers
from launchd.agent.gpus.claims import RESTART_SECONDS, GpuClaims
from launchd.agent.host_locks import HostLocks, agent_words, locks_directory
from launchd.agent.job_users import take_numbers
from launchd.config import AgentConfig, LaunchdConfig
from launchd.config.model import PolicyConfig
from tests.support.controller_harness import ManualClock

HOLDS = """
import sys
from pathlib import Path
from launchd.agent.host_locks import HostLocks
locks = HostLocks(Path(sys.argv[1]))
print(locks.take(sys.argv[2], range(int(sys.argv[3]), int(sys.argv[4]))), flush=True)
sys.stdin.read()
"""


@contextmanager
def other_agent(directory: Path, name: str, numbers: range) -> Iterator[int]:
    """Have another process hold these numbers; yields its id."""
    words = [str(directory), name, str(numbers.start), str(numbers.stop)]
    command = [sys.executable, "-c", HOLDS, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "None\n"
        yield process.pid


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[HostLocks]:
    made = HostLocks(tmp_path / "locks")
    yield made
    made.close()


def test_who_has_what_is_named_and_it_is_free_with_the_end_of_that_process(tmp_path: Path, locks: HostLocks) -> None:
    with other_agent(tmp_path / "locks", "users", range(100, 200)) as pid:
        assert locks.take("users", range(150, 160)) == pid
        assert locks.holder("users", range(199, 300)) == pid
        assert locks.take("users", range(200, 300)) is None
        assert locks.take("gpu-1") is None
    assert locks.holder("users", range(100, 200)) is None
    assert locks.take("users", range(100, 200)) is None
    # What this process has itself is no other's.
    assert locks.take("users", range(100, 300)) is None
    assert (tmp_path / "locks").stat().st_mode & 0o777 == 0o700


def test_where_there_is_no_place_for_locks_nothing_is_kept() -> None:
    assert HostLocks(None).take("users") is None
    assert HostLocks(None).holder("users") is None
    assert locks_directory({"LAUNCHD_LOCKS_DIR": "/mine"}) == Path("/mine")
    expected = Path("/run/launchd-locks") if os.geteuid() == 0 else Path("/run/user/1/launchd-locks")
    assert locks_directory({"XDG_RUNTIME_DIR": "/run/user/1"}) == expected
    assert agent_words(0) == "another agent of this host"


def test_a_gpu_is_the_first_agents_and_after_its_end_it_waits_for_its_next_start(
    tmp_path: Path, locks: HostLocks
) -> None:
    clock = ManualClock()
    claims = GpuClaims(locks, clock)
    with other_agent(tmp_path / "locks", "gpu-GPU-0", range(1)) as pid:
        claims.look(["GPU-0", "GPU-1"])
        assert claims.why_not("GPU-0") == f"another agent of this host (process {pid}) gives it out"
        assert claims.why_not("GPU-1") is None
        clock.advance(RESTART_SECONDS + 1)
        claims.look(["GPU-0", "GPU-1"])
        assert claims.why_not("GPU-0") is not None
    claims.look(["GPU-0", "GPU-1"])
    clock.advance(RESTART_SECONDS - 1)
    claims.look(["GPU-0"])
    assert claims.why_not("GPU-0") is not None
    clock.advance(1)
    claims.look(["GPU-0"])
    assert claims.why_not("GPU-0") is None


def test_two_agents_have_no_user_of_jobs_in_common(tmp_path: Path, locks: HostLocks) -> None:
    policy = PolicyConfig(run_as_users=UserNumbers(70000, 70099))
    config = AgentConfig(queues=("q",), launchd=LaunchdConfig(state_dir="/s", runtime_dir="/r", policy=policy))
    with other_agent(tmp_path / "locks", "users", range(70050, 71000)) as pid:
        refusal = take_numbers(locks, config) or ""
    assert refusal.startswith(
        "The users 70000-70099 (launchd.policy.run_as_users) are, in part, those of the jobs of another agent of this"
        f" host (process {pid}), "
    )
    assert take_numbers(locks, config) is None
    assert take_numbers(locks, config) is None


def test_locks_that_cannot_be_made_keep_no_agent_from_starting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    claims = GpuClaims(HostLocks(tmp_path / "file"), ManualClock())
    claims.look(["GPU-0"])
    assert claims.why_not("GPU-0") is None
