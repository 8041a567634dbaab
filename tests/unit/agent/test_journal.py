"""The journal keeps what was committed, and nothing is lost when the disk refuses."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.handles import Handle
from ipc.states import JobState
from launchd import __version__
from launchd.agent.job_record import JobRecord
from launchd.agent.journal import EndedJob, Journal, UnreadableRecord
from launchd.agent.journal_file import JournalError
from launchd.agent.journal_schema import LAYOUT
from tests.support.jobs import a_job
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until


class JournalFiles:
    """A journal that can be closed and opened again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Journal(path)

    def reopen(self) -> Journal:
        self.journal.close()
        self.journal = Journal(self.path)
        return self.journal


@pytest.fixture
def files(tmp_path: Path) -> Iterator[JournalFiles]:
    opened = JournalFiles(tmp_path / "journal.sqlite")
    yield opened
    opened.journal.close()


@pytest.fixture
def journal(files: JournalFiles) -> Journal:
    return files.journal


def test_a_committed_job_comes_back_as_it_was(files: JournalFiles, journal: Journal) -> None:
    job = msgspec.structs.replace(a_job("a"), recorded=True, handle=Handle("local-process", "n", 1, {"pid": 3}))
    journal.save(job)
    journal.commit()
    assert files.reopen().active_jobs() == [job]


@pytest.mark.parametrize("image", [5, ["x"], "\ud800"])
def test_a_record_that_its_reader_refuses_is_not_written(journal: Journal, image: Any) -> None:
    job = a_job("a")
    with pytest.raises(UnreadableRecord, match="could not be read again"):
        journal.save(msgspec.structs.replace(job, spec=msgspec.structs.replace(job.spec, docker_image=image)))
    journal.save(a_job("b"))
    journal.commit()
    assert [found.item_id for found in journal.active_jobs()] == ["b"]


def test_an_uncommitted_job_is_not_there(files: JournalFiles, journal: Journal) -> None:
    journal.save(a_job("a"))
    assert files.reopen().active_jobs() == []


def test_a_job_that_is_over_is_not_in_care_but_known(journal: Journal) -> None:
    over = msgspec.structs.replace(a_job("a"), state=JobState.FINISHED, state_at=5.0)
    journal.save(over)
    journal.commit()
    assert (journal.active_jobs(), journal.job("a"), journal.ended_jobs(10)) == ([], over, [over])


def test_jobs_come_back_in_the_order_of_their_claims_whatever_the_clock_did(journal: Journal) -> None:
    for name, claimed_at in (("first", 3.0), ("second", 1.0), ("third", 2.0)):
        journal.save(msgspec.structs.replace(a_job(name), claimed_at=claimed_at))
    journal.save(msgspec.structs.replace(a_job("first"), claimed_at=3.0, message="changed"))
    journal.commit()
    assert [job.item_id for job in journal.active_jobs()] == ["first", "second", "third"]


def test_jobs_are_listed_in_the_order_of_their_ends_whatever_the_clock_did(journal: Journal) -> None:
    for name in ("a", "b", "c"):
        journal.save(a_job(name))
    for name, ended_at in (("b", 3.0), ("c", 1.0), ("a", 2.0)):
        journal.save(msgspec.structs.replace(a_job(name), state=JobState.FINISHED, state_at=ended_at))
    journal.commit()
    assert [job.item_id for job in journal.ended_jobs(10)] == ["a", "c", "b"]
    assert [job.item_id for job in journal.ended_before_last(keep=1, limit=10)] == ["c", "b"]


def test_all_but_the_last_ended_jobs_are_found_for_cleaning(journal: Journal) -> None:
    for number in range(5):
        ended = msgspec.structs.replace(a_job(str(number)), state=JobState.FINISHED, state_at=float(number))
        journal.save(ended)
    journal.commit()
    assert journal.ended_before_last(2, 2) == [EndedJob(item, (a_job(item).name,), ()) for item in ("2", "1")]


def test_jobs_that_ended_long_before_the_last_are_found_for_cleaning(journal: Journal) -> None:
    for number in range(5):
        ended = msgspec.structs.replace(a_job(str(number)), state=JobState.FINISHED, state_at=10.0 * number)
        journal.save(ended)
    journal.save(msgspec.structs.replace(a_job("active"), state_at=-100.0))
    journal.commit()
    assert [job.item_id for job in journal.ended_long_before_last(25.0, 10)] == ["0", "1"]
    assert [job.item_id for job in journal.ended_long_before_last(25.0, 1)] == ["0"]
    assert journal.ended_long_before_last(40.0, 10) == []


def test_a_second_agent_is_refused_with_the_first_ones_process(journal: Journal) -> None:
    script = (
        f"from pathlib import Path; from launchd.agent.journal import Journal; Journal(Path({str(journal.path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "Another agent (process" in done.stderr


def test_a_newer_versions_journal_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.sqlite") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(JournalError, match="newer launchd"):
        Journal(tmp_path / "journal.sqlite")


def test_a_newer_versions_journal_names_the_version_that_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    with closing(sqlite3.connect(path)) as newer, newer:
        assert newer.execute("UPDATE meta SET value = '9.1' WHERE key = 'laid_out_by'").rowcount == 1
        newer.execute(f"PRAGMA user_version = {LAYOUT + 1}")

    with pytest.raises(JournalError, match=rf"launchd 9\.1, and this is {__version__}; install that version"):
        Journal(path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be used"):
        Journal(tmp_path / "file" / "journal.sqlite")


def test_a_word_that_is_no_text_names_no_job(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    assert journal.find("gr\udcf6sse") is None
    journal.close()


@pytest.mark.root
def test_what_a_full_disk_refused_is_written_by_the_next_commit(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mebibytes=1) as disk:
        journal = Journal(disk / "journal.sqlite")
        filler = disk / "filler"
        filler.write_bytes(b"x" * _free(disk))
        jobs = [_large_job(str(number)) for number in range(20)]
        for job in jobs:
            journal.save(job)
        with pytest.raises(JournalError, match="Make room"):
            journal.commit()
        assert journal.active_jobs() == []

        filler.unlink()
        journal.commit()
        assert len(journal.active_jobs()) == len(jobs)
        journal.close()


def _large_job(name: str) -> JobRecord:
    return msgspec.structs.replace(a_job(name), message="x" * 10_000)


def _free(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_bsize


# -- rows that cannot be read


def damage(path: Path, item_id: str, record: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE jobs SET record = ? WHERE item_id = ?", (record, item_id))
    db.close()


@pytest.mark.parametrize("record", ["", "{", "[]", '{"item_id": "a"}', "\x00\x01", '{"item_id": 7, "name": 7}'])
@pytest.mark.parametrize("over", [False, True])
def test_a_damaged_record_costs_no_other_one(files: JournalFiles, journal: Journal, record: str, over: bool) -> None:
    for name in ("a", "b"):
        job = a_job(name)
        journal.save(msgspec.structs.replace(job, state=JobState.FINISHED) if over else job)
    journal.commit()
    damage(files.path, "a", record)
    journal = files.reopen()
    jobs = journal.ended_jobs(10) if over else journal.active_jobs()
    assert [job.item_id for job in jobs] == ["b"]
    assert (journal.job("a"), journal.find("a")) == (None, None)
    assert [job.item_id for job in journal.ended_before_last(keep=0, limit=10)] == (["b"] if over else [])
    journal.commit()
    assert journal.unreadable_jobs() == ["a"]
    assert files.reopen().job("a") is None


def test_a_damaged_record_keeps_no_other_job_from_being_found(files: JournalFiles, journal: Journal) -> None:
    for name in ("a", "b"):
        journal.save(a_job(name))
    journal.commit()
    damage(files.path, "a", "{")
    found = files.reopen().find(a_job("b").name)
    assert found is not None
    assert found.item_id == "b"


def test_a_damaged_file_is_an_error_of_the_journal(files: JournalFiles, journal: Journal) -> None:
    for number in range(200):
        journal.save(a_job(str(number)))
    journal.commit()
    journal.close()
    with files.path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 65536)
    with pytest.raises(JournalError, match=r"cannot be (used|read)"), closing(Journal(files.path)) as damaged:
        damaged.active_jobs()
    files.path.unlink()
    files.journal = Journal(files.path)


# -- a full disk, and texts that no file holds


def test_a_text_that_no_file_can_hold_costs_its_own_change_alone(journal: Journal) -> None:
    journal.save(a_job("a"))
    with pytest.raises(UnicodeEncodeError):
        journal.set_meta("reason", "d\udce9faut")
    journal.commit()
    assert [job.item_id for job in journal.active_jobs()] == ["a"]


@pytest.mark.root
def test_a_full_disk_has_room_for_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk", mebibytes=4) as disk:
        journal = Journal(disk / "journal.sqlite")
        fill(disk)
        for number in range(100):
            journal.save(a_job(str(number)))
        assert journal.shortage is None
        journal.commit()
        assert "Make room on its disk" in (journal.shortage or "")
        assert len(journal.active_jobs()) == 100
        (disk / "filler").unlink()
        monkeypatch.setattr("launchd.agent.journal_file.RESERVE_AGAIN_SECONDS", 0.0)
        wait_until(lambda: journal.reserve_room() or journal.shortage is None, what="room is reserved again")
        journal.close()


@pytest.mark.root
def test_a_journal_is_opened_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mebibytes=4) as disk:
        journal = Journal(disk / "journal.sqlite")
        journal.save(a_job("a"))
        journal.commit()
        journal.close()
        fill(disk)
        for _ in range(3):
            journal = Journal(disk / "journal.sqlite")
            assert [job.item_id for job in journal.active_jobs()] == ["a"]
            assert journal.shortage is not None
            fill(disk)
            journal.close()


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 4096)
