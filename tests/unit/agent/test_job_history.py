"""What ran is kept for longer than the jobs themselves: one entry for each end, with what the job used."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from ipc.gpus import GpuUse
from ipc.handles import ExitResult
from ipc.messages import Finished
from ipc.states import JobState
from launchd.agent.job_history import HistoryEntry, entry_of
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.agent.journal_file import JournalError
from launchd.agent.journal_reader import read_history
from tests.support.controller_harness import ControllerHarness
from tests.support.jobs import a_job

USED = ExitResult(code=0, cpu_seconds=1.5, peak_memory_bytes=1 << 20)
GPU = GpuUse("GPU-1", "0", "A100", 3, 50.0, 90.0, 1e9, 1 << 30)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / JOURNAL_FILE)
    yield opened
    opened.close()


def entries(directory: Path) -> list[HistoryEntry]:
    return read_history(directory, since=0.0)


def kept(journal: Journal) -> list[str]:
    return [entry.item_id for entry in entries(journal.path.parent)]


def an_entry(item_id: str, ended_at: float = 100.0) -> HistoryEntry:
    return HistoryEntry(item_id, "default", "finished", ended_at, 1.0)


def test_an_end_is_an_entry_with_what_the_job_used(harness: ControllerHarness) -> None:
    harness.claim(author="ada", name="first try")
    harness.acknowledged()
    harness.bring_to("running", "b")
    harness.clock.advance(90.0)
    harness.report(Finished(JobState.FINISHED, USED), "b")
    harness.exit(item_id="b")
    harness.stop("a", "not needed")
    harness.exit(0, "a")

    last, first = entries(harness.directory)
    assert (first.item_id, first.outcome, first.seconds, first.cpu_seconds) == ("b", "finished", 90.0, 1.5)
    assert (first.peak_memory_bytes, first.started_at, first.ended_at) == (1 << 20, 1_000_000.0, 1_000_090.0)
    assert (last.item_id, last.user, last.name, last.outcome) == ("a", "ada", "first try", "stopped")
    assert (last.seconds, last.started_at, last.why) == (None, None, "The job was stopped: not needed.")


def test_an_item_that_cannot_be_run_is_an_entry(harness: ControllerHarness) -> None:
    harness.claim(resource="none")
    (entry,) = entries(harness.directory)
    assert (entry.outcome, entry.resource, entry.seconds) == ("failed", "none", None)


def test_an_end_that_was_not_committed_is_one_entry_in_the_end(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    with harness.unwritable_journal():
        harness.report(Finished(JobState.FINISHED, USED))
        harness.exit()
        assert entries(harness.directory) == []
    harness.restart()
    harness.report(Finished(JobState.FINISHED, USED))
    harness.exit()
    assert [entry.item_id for entry in entries(harness.directory)] == ["a"]


def test_an_outcome_that_is_told_again_is_no_second_entry(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    harness.report(Finished(JobState.FINISHED, USED))
    harness.exit()
    harness.claim(lease=2)
    harness.restart()
    assert len(entries(harness.directory)) == 1


def test_what_the_workloads_own_record_says_of_its_time_counts() -> None:
    """The agent may have learned of the end long after it."""
    job = msgspec.structs.replace(
        a_job(),
        state=JobState.FINISHED,
        state_at=500.0,
        result=ExitResult(code=0, run_seconds=30.0),
        gpu_use=(GPU, GPU),
    )
    entry = entry_of(job, 400.0)
    assert (entry.seconds, entry.started_at, entry.gpus, entry.gpu_seconds) == (30.0, 470.0, 2, 60.0)
    assert entry_of(msgspec.structs.replace(job, result=None), 400.0).seconds == 400.0


def test_an_entry_outlives_its_job(journal: Journal) -> None:
    journal.save(msgspec.structs.replace(a_job("a"), state=JobState.FINISHED))
    journal.add_to_history(an_entry("a"))
    journal.commit()
    journal.forget("a")
    journal.commit()
    assert kept(journal) == ["a"]


def test_the_oldest_entries_go_by_number_and_by_age(journal: Journal) -> None:
    for number in range(10):
        journal.add_to_history(an_entry(str(number), 1000.0 + number))
    journal.commit()
    journal.trim_history(8, 1e9)
    journal.commit()
    assert kept(journal) == ["9", "8", "7", "6", "5", "4", "3", "2"]

    journal.trim_history(100, 4.0)
    journal.commit()
    assert kept(journal) == ["9", "8", "7", "6", "5"]


def test_a_clock_that_was_ahead_removes_nothing_later(journal: Journal) -> None:
    for item, ended_at in (("a", 1000.0), ("b", 1e12), ("c", 1001.0)):
        journal.add_to_history(an_entry(item, ended_at))
    journal.commit()
    journal.trim_history(100, 86400.0)
    journal.commit()
    assert kept(journal) == ["c", "b", "a"]


def test_only_what_ended_since_then_is_read(journal: Journal) -> None:
    for item, ended_at in (("a", 10.0), ("b", 20.0)):
        journal.add_to_history(an_entry(item, ended_at))
    journal.commit()
    assert [entry.item_id for entry in read_history(journal.path.parent, since=15.0)] == ["b"]


def test_an_entry_that_cannot_be_read_costs_no_other_one(journal: Journal) -> None:
    journal.add_to_history(an_entry("a"))
    journal.change("INSERT INTO history (ended_at, record) VALUES (1, 'torn')")
    journal.commit()
    assert kept(journal) == ["a"]


def test_a_journal_of_before_has_no_entries_until_an_agent_opens_it(tmp_path: Path) -> None:
    Journal(tmp_path / JOURNAL_FILE).close()
    with closing(sqlite3.connect(tmp_path / JOURNAL_FILE)) as db:
        db.execute("DROP TABLE history")
    assert entries(tmp_path) == []

    with closing(Journal(tmp_path / JOURNAL_FILE)) as journal:
        journal.add_to_history(an_entry("a"))
        journal.commit()
        assert kept(journal) == ["a"]


def test_a_host_without_a_journal_and_a_damaged_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        entries(tmp_path)
    (tmp_path / JOURNAL_FILE).write_text("no database, but long enough to look like one" * 30)
    with pytest.raises(JournalError, match="cannot be read"):
        entries(tmp_path)
