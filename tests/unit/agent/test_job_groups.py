"""Where the agent's jobs have control groups, what is said where they have none, and what is cleared up."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.control_groups import ControlGroup
from ipc.settings import GIB, JobLimits, JobsConfig
from launchd.agent.job_groups import JobGroups, find_job_groups
from tests.support.control_groups import delegated_group
from tests.support.waiting import wait_until


@pytest.fixture
def delegated() -> Iterator[Path]:
    with delegated_group() as path:
        yield path


def test_without_a_delegated_group_jobs_have_none(tmp_path: Path) -> None:
    groups = find_job_groups(JobsConfig(control_group=str(tmp_path / "none")), tmp_path)

    assert groups == JobGroups()
    assert groups.group_of("launchd-0-1") is None
    assert groups.shortcoming is not None
    assert "found by descent, and limits cannot be set" in groups.shortcoming
    groups.sweep(set(), set())


def test_limits_that_are_not_held_are_said() -> None:
    limits = JobLimits(GIB, 2.0, 10)

    alone = JobGroups(limits=limits)
    assert alone.shortcoming is not None
    assert "limits of memory, processors and processes are not held" in alone.shortcoming
    partly = JobGroups("/group", frozenset({"memory", "cpu"}), limits)
    assert partly.shortcoming == (
        "The host's control groups lack controllers: the configured limits of processes are not held."
    )
    assert JobGroups("/group", frozenset({"memory", "cpu", "pids"}), limits).shortcoming is None
    assert JobGroups("/group").shortcoming is None


@pytest.mark.root
def test_two_agents_of_a_host_have_groups_of_their_own(delegated: Path, tmp_path: Path) -> None:
    jobs = JobsConfig(control_group=str(delegated))

    first, second = (find_job_groups(jobs, tmp_path / name) for name in ("one", "two"))

    assert first.root is not None
    assert first.root != second.root
    assert Path(first.root).parent == delegated
    assert find_job_groups(jobs, tmp_path / "one") == first


@pytest.mark.root
def test_what_is_left_of_jobs_is_cleared_up(delegated: Path, tmp_path: Path) -> None:
    groups = find_job_groups(JobsConfig(control_group=str(delegated)), tmp_path)
    names = ("over-1", "active-2", "active-1", "active-2.tools", "over-1.tools", "unknown-1")
    for name in names:
        ControlGroup(f"{groups.root}/{name}").make()
    left = [sleeper(f"{groups.root}/{name}") for name in ("active-1", "over-1.tools")]
    kept = [sleeper(f"{groups.root}/{name}") for name in ("active-2.tools", "unknown-1")]

    def remaining() -> list[str]:
        groups.sweep({"active-2"}, {"active-1"})
        return sorted(path.name for path in Path(groups.root or "").iterdir() if path.is_dir())

    # What was killed may take a moment to leave its group.
    expected = ["active-2", "active-2.tools", "shims", "unknown-1"]
    wait_until(lambda: remaining() == expected, what="the groups of ended jobs are removed")
    assert [process.wait() for process in left] == [-9, -9]
    assert [process.poll() for process in kept] == [None, None]
    for process in kept:
        process.kill()
        process.wait()


def sleeper(group: str) -> subprocess.Popen[bytes]:
    script = 'echo 0 > "$1/cgroup.procs" && exec sleep 600'
    process = subprocess.Popen(["sh", "-c", script, "sh", group])
    wait_until(lambda: process.pid in ControlGroup(group).members(), what="the process is in the group")
    return process
