"""What a job may ask for, under the limits of its host."""

from pathlib import Path

import pytest

from ipc.errors import InvalidSpec
from ipc.settings import GIB, MIB, JobLimits
from workers.job_limits import check, effective


@pytest.fixture
def group(tmp_path: Path) -> str:
    """The path of a job's group, in one that passes all controllers on."""
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    return str(tmp_path / "launchd-0-1")


def test_a_job_that_asks_for_nothing_needs_no_group() -> None:
    check(JobLimits(), JobLimits(memory=GIB), None)


def test_what_the_host_grants_is_granted(group: str) -> None:
    check(JobLimits(GIB, 2.0, 10), JobLimits(GIB, 2.0, 10), group)
    check(JobLimits(GIB, 2.0, 10), JobLimits(), group)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (JobLimits(memory=2 * GIB), "asks for 2 GiB of memory; this host grants a job 1 GiB of memory"),
        (JobLimits(processors=2.5), "asks for 2.5 processors; this host grants a job 2 processors"),
        (JobLimits(disk=2 * GIB), "asks for 2 GiB of disk; this host grants a job 1 GiB of disk"),
        (JobLimits(disk=1), "asks for 1 B of disk, and the least is 1 MiB of disk"),
        (JobLimits(processes=11), "asks for 11 processes; this host grants a job 10 processes"),
        (JobLimits(memory=1), "asks for 1 B of memory, and the least is 8 MiB of memory"),
        (JobLimits(processes=0), "asks for 0 processes, and the least is 1 processes"),
        (JobLimits(processors=-1.0), "asks for -1 processors, and the least is 0.01 processors"),
    ],
)
def test_more_than_the_host_grants_and_too_little_are_refused(asked: JobLimits, words: str, group: str) -> None:
    with pytest.raises(InvalidSpec, match=words.replace(".", r"\.")):
        check(asked, JobLimits(GIB, 2.0, 10, GIB), group)


def test_a_limit_of_disk_needs_no_group() -> None:
    check(JobLimits(disk=GIB), JobLimits(disk=GIB), None)


def test_a_limit_that_cannot_be_held_is_refused(group: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match="asks for a limit of memory and processes, which this host cannot hold"):
        check(JobLimits(memory=64 * MIB, processes=10), JobLimits(), None)

    (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
    with pytest.raises(InvalidSpec, match="a limit of memory, which this host cannot hold"):
        check(JobLimits(memory=64 * MIB, processors=1.0), JobLimits(), group)


def test_the_own_limit_of_a_job_comes_before_that_of_its_host() -> None:
    assert effective(JobLimits(memory=MIB), JobLimits(GIB, 2.0)) == JobLimits(MIB, 2.0)
