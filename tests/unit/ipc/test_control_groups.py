"""The files of a control group: written in a plain directory, and by the kernel where root can make a real one."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.control_groups import ControlGroup, Usage, controllers_for
from ipc.settings import MIB, JobLimits
from tests.support.control_groups import delegated_group
from tests.support.processes import is_gone
from tests.support.waiting import wait_until

FILES = ("cgroup.procs", "cpu.max", "memory.max", "memory.oom.group", "memory.swap.max", "pids.max")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A directory with the files of a group that has all controllers."""
    for name in FILES:
        (tmp_path / name).touch()
    return tmp_path


def test_limits_are_written_as_the_kernel_takes_them(plain: Path) -> None:
    assert ControlGroup(plain).make(JobLimits(512 * MIB, 1.5, 200)) == ()

    assert (plain / "memory.max").read_text() == str(512 * MIB)
    assert (plain / "memory.swap.max").read_text() == "0"
    assert (plain / "memory.oom.group").read_text() == "1"
    assert (plain / "cpu.max").read_text() == "150000 100000"
    assert (plain / "pids.max").read_text() == "200"


def test_what_is_not_limited_is_left_as_it_is(plain: Path) -> None:
    ControlGroup(plain).make(JobLimits(processes=7))

    assert [(plain / name).read_text() for name in FILES] == ["", "", "", "", "", "7"]


def test_limits_that_cannot_be_set_are_named(plain: Path) -> None:
    (plain / "memory.max").unlink()
    (plain / "pids.max").unlink()

    assert ControlGroup(plain).make(JobLimits(512 * MIB, 1.5, 200)) == ("memory", "processes")
    assert not (plain / "pids.max").exists()


def test_what_was_used_is_read_as_far_as_the_kernel_says_it(plain: Path) -> None:
    group = ControlGroup(plain)
    assert group.usage() == Usage()

    (plain / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 2000000\n")
    (plain / "memory.peak").write_text("4096\n")

    assert group.usage() == Usage(2.5, 4096)


@pytest.mark.parametrize(
    ("events", "limit"),
    [
        ("low 0\noom 1\noom_kill 2\n", 1024),
        # Killed for want of memory of the host, or of a group above.
        ("low 0\noom 0\noom_kill 1\n", None),
        ("low 0\noom 0\noom_kill 0\n", None),
    ],
)
def test_only_the_own_limit_of_memory_counts(plain: Path, events: str, limit: int | None) -> None:
    (plain / "memory.events").write_text(events)
    (plain / "memory.max").write_text("1024\n")

    assert ControlGroup(plain).exceeded_memory() == limit


def test_a_group_that_is_not_there_has_and_says_nothing(tmp_path: Path) -> None:
    group = ControlGroup(tmp_path / "none")

    assert (group.exists(), group.members(), group.is_populated(), group.controllers()) == (False, set(), False, set())
    assert group.end(1.0)
    assert group.remove()
    assert group.exceeded_memory() is None


def test_each_limit_needs_its_controller() -> None:
    assert controllers_for(["memory", "processors", "processes"]) == {"memory", "cpu", "pids"}


@pytest.fixture
def real() -> Iterator[Path]:
    with delegated_group() as path:
        yield path


def sleeper(group: Path) -> subprocess.Popen[bytes]:
    """Start a process in ``group``."""
    script = 'echo 0 > "$1/cgroup.procs" && exec sleep 600'
    process = subprocess.Popen(["sh", "-c", script, "sh", str(group)])
    wait_until(lambda: process.pid in ControlGroup(group).members(), what="the process is in the group")
    return process


@pytest.mark.root
def test_everything_in_a_group_and_below_is_ended(real: Path) -> None:
    inner = ControlGroup(real / "job" / "inner")
    ControlGroup(real / "job").make()
    inner.make()
    processes = [sleeper(real / "job"), sleeper(real / "job" / "inner")]
    group = ControlGroup(real / "job")
    assert group.members() == {process.pid for process in processes}
    assert not group.remove()

    assert group.end(10.0)

    assert all(is_gone(process.pid) for process in processes)
    assert group.usage().cpu_seconds is not None
    assert group.remove()
    for process in processes:
        process.wait()


@pytest.mark.root
def test_a_group_is_ended_where_the_kernel_cannot_kill_it(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = ControlGroup(real / "job")
    group.make()
    process = sleeper(real / "job")
    write = ControlGroup._write

    def as_before_linux_5_14(group: ControlGroup, name: str, value: str) -> None:
        if name == "cgroup.kill":
            raise FileNotFoundError(name)
        write(group, name, value)

    monkeypatch.setattr(ControlGroup, "_write", as_before_linux_5_14)

    assert group.end(10.0)
    assert process.wait() == -9


@pytest.mark.root
def test_the_wait_for_an_end_has_an_end(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = sleeper(real)
    monkeypatch.setattr(ControlGroup, "kill", lambda _group: None)
    before = time.monotonic()

    assert not ControlGroup(real).end(0.2)

    assert time.monotonic() - before < 5.0
    process.kill()
    process.wait()
