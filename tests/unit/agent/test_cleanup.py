"""What is left of jobs is removed, and nothing is said where nothing is left."""

from pathlib import Path

import pytest

from launchd.agent.cleanup import Cleanup, OldJob
from tests.support.waiting import wait_until


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
