"""What is left of jobs is removed, and nothing is said where nothing is left."""

import subprocess
from pathlib import Path

import pytest

from launchd.agent.cleanup import Cleanup, OldJob
from tests.support.waiting import wait_until

#: Of a user without an entry, and without processes.
NUMBER = 64_321


def test_a_job_that_never_had_a_directory_is_over_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    freed: list[tuple[int, ...]] = []
    directory = tmp_path / "jobs" / "was-there"
    directory.mkdir(parents=True)

    Cleanup(tmp_path, freed.append).remove(
        [OldJob((str(tmp_path / "jobs" / "never"),), (70_000,)), OldJob((str(directory),), (70_001,))]
    )

    wait_until(lambda: {number for numbers in freed for number in numbers} == {70_000, 70_001}, what="both are removed")
    assert not directory.exists()
    assert caplog.records == []


@pytest.mark.root
def test_a_number_is_free_once_its_last_process_has_ended(tmp_path: Path) -> None:
    """A process that took a moment to die must not keep its number from all later jobs."""
    freed: list[tuple[int, ...]] = []
    cleanup = Cleanup(tmp_path, freed.append)
    with subprocess.Popen(["sleep", "60"], user=NUMBER, group=NUMBER, extra_groups=[]) as process:
        cleanup.remove([OldJob((), (NUMBER,)), OldJob((), (NUMBER + 1,))])
        wait_until(lambda: freed == [(NUMBER + 1,)], what="the other one is free")
        process.kill()
    cleanup.remove([])
    wait_until(lambda: freed == [(NUMBER + 1,), (NUMBER,)], what="the number is free")


def test_an_unexpected_error_over_one_directory_ends_no_thread(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    freed: list[tuple[int, ...]] = []
    good = OldJob((), (70_001,))
    # No path has one: only a broken record could.
    bad = OldJob((str(tmp_path / "no\0path"),), (70_000,))
    Cleanup(tmp_path, freed.append)._work((bad, good))
    assert freed == [(70_001,)]
    assert "raised an unexpected error" in caplog.text
