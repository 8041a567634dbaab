"""What a job's directories take, measured by the real tool; the meter's clock is the test's."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipc.errors import JobError
from ipc.settings import MIB
from ipc.tree_tool import Refused, measure
from tests.support.waiting import wait_until
from workers import disk_meter
from workers.disk_meter import FAILURES, PAUSE_SECONDS, TIMEOUT_SECONDS, DiskMeter


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(tmp_path: Path, clock: Clock) -> Iterator[Callable[[int], DiskMeter]]:
    """A function that makes a meter of the directories ``work`` and ``home``, with a limit in MiB."""
    made = []
    directories = (tmp_path / "work", tmp_path / "home")
    for directory in directories:
        directory.mkdir()

    def make(limit: int) -> DiskMeter:
        made.append(DiskMeter(directories, None, limit * MIB, clock))
        return made[-1]

    yield make
    for each in made:
        each.close()


def write(path: Path, mib: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * mib * MIB)


def measured(meter: DiskMeter, clock: Clock) -> JobError | None:
    """Return what the meter says once its next measurement is over."""
    clock.now += TIMEOUT_SECONDS * 20
    said: list[JobError | None] = [meter.why_too_much()]

    def is_over() -> bool:
        said.append(meter.why_too_much())
        return said[-1] is not None or meter._tool is None

    wait_until(is_over, what="the measurement")
    return said[-1]


def test_a_job_may_write_up_to_its_limit_and_no_more(
    meter: Callable[[int], DiskMeter], tmp_path: Path, clock: Clock
) -> None:
    made = meter(3)
    write(tmp_path / "work" / "deep" / "down" / "file", 2)
    assert measured(made, clock) is None

    write(tmp_path / "home" / "other", 2)
    excess = measured(made, clock)

    assert excess is not None
    assert excess.message == "The job was stopped: what it has written takes more than its limit of 3 MiB of disk."
    assert excess.report().kind == "TooMuchDisk"


def test_a_directory_that_the_job_removed_takes_nothing(
    meter: Callable[[int], DiskMeter], tmp_path: Path, clock: Clock
) -> None:
    made = meter(1)
    (tmp_path / "home").rmdir()
    write(tmp_path / "work" / "file", 2)

    assert measured(made, clock) is not None


def test_it_is_not_measured_more_often_than_it_is_worth(meter: Callable[[int], DiskMeter], clock: Clock) -> None:
    made = meter(1)
    assert measured(made, clock) is None

    clock.now += PAUSE_SECONDS - 1
    assert made.why_too_much() is None
    assert made._tool is None
    clock.now += 2
    made.why_too_much()
    assert made._tool is not None


def test_a_job_that_ends_what_measures_it_is_ended_the_third_time(
    meter: Callable[[int], DiskMeter], clock: Clock
) -> None:
    made = meter(1)
    for number in range(1, FAILURES + 1):
        clock.now += PAUSE_SECONDS
        made.why_too_much()
        tool = made._tool
        assert tool is not None
        tool.kill()
        tool.wait()
        failure = made.why_too_much()
        assert (failure is not None) is (number == FAILURES)

    assert failure is not None
    assert "could not be measured 3 times in a row (the process that does so was ended by signal 9)" in failure.message


def test_a_measurement_that_hangs_is_ended(
    meter: Callable[[int], DiskMeter], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_meter, "FAILURES", 1)
    made = meter(1)
    made.why_too_much()
    tool = made._tool
    assert tool is not None
    os.kill(tool.pid, 19)
    clock.now += TIMEOUT_SECONDS

    failure = made.why_too_much()

    assert failure is not None
    assert "was not done after 600 s" in failure.message
    assert tool.returncode == -9


def test_a_file_with_two_names_counts_once_and_a_hole_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "one", 1)
    os.link(tmp_path / "one", tmp_path / "two")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 100 * MIB)
    (tmp_path / "link").symlink_to("/usr")

    assert MIB <= measure(10 * MIB) < 2 * MIB


def test_a_tree_that_cannot_be_measured_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    deepest = tmp_path
    for _ in range(201):
        deepest = deepest / "d"
        deepest.mkdir()

    with pytest.raises(Refused, match="more than 200 deep"):
        measure(MIB)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every directory")
def test_a_directory_that_its_user_has_closed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "closed").mkdir(mode=0)

    with pytest.raises(Refused, match="'closed/', which its own user may not look into"):
        measure(MIB)
    (tmp_path / "closed").chmod(0o700)
