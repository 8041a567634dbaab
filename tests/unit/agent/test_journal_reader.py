"""What is known of jobs whose agent does not answer."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from ipc.job_files import STARTED_FILE
from ipc.states import JobState
from launchd import __version__
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.agent.journal_file import JournalError
from launchd.agent.journal_reader import has_ended, phase, read_job
from launchd.agent.journal_schema import LAYOUT
from tests.support.jobs import a_job

FIRST = a_job("a")
SECOND = msgspec.structs.replace(FIRST, item_id="b", name="launchd-b-2", claimed_at=FIRST.claimed_at + 1)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal with two jobs of one run, as after a requeue."""
    opened = Journal(tmp_path / JOURNAL_FILE)
    opened.save(FIRST)
    opened.save(SECOND)
    opened.commit()
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("word", "found"),
    [("a", FIRST), ("b", SECOND), ("run-a", SECOND), (FIRST.name, FIRST), ("c", None), ("", None), ("%", None)],
)
def test_a_job_is_found_beside_the_agent_as_by_the_agent(journal: Journal, word: str, found: object) -> None:
    assert read_job(journal.path.parent, word) == journal.find(word) == found


def test_a_job_is_found_when_the_agent_has_left(tmp_path: Path) -> None:
    state_dir = tmp_path / "with space?#%41"
    left = Journal(state_dir / JOURNAL_FILE)
    left.save(FIRST)
    left.commit()
    left.close()

    assert read_job(state_dir, "a") == FIRST
    Journal(state_dir / JOURNAL_FILE).close()


def test_where_no_agent_ran_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_job(tmp_path, "a")
    assert list(tmp_path.iterdir()) == []


def test_a_newer_journal_is_refused(journal: Journal) -> None:
    with closing(sqlite3.connect(journal.path)) as newer:
        newer.execute(f"PRAGMA user_version = {LAYOUT + 1}")

    with pytest.raises(JournalError, match=f"was written by launchd {__version__}; use that one's command"):
        read_job(journal.path.parent, "a")


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(b"no journal" * 1000)

    with pytest.raises(JournalError, match=f"^The journal {tmp_path}/{JOURNAL_FILE} cannot be read: "):
        read_job(tmp_path, "a")


@pytest.mark.root
def test_another_users_journal_says_whom_to_ask_as() -> None:
    program = "; ".join(
        [
            "import os, pathlib, pwd, sys",
            "from launchd.agent.journal_reader import read_job",
            # Here, for another user may not even find the interpreter.
            "os.setuid(pwd.getpwnam('nobody').pw_uid)",
            "read_job(pathlib.Path(sys.argv[1]), 'a')",
        ]
    )
    # Below a directory that other users may enter, unlike pytest's own.
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        Journal(Path(name, JOURNAL_FILE)).close()
        Path(name, JOURNAL_FILE).chmod(0o600)
        done = subprocess.run([sys.executable, "-c", program, name], capture_output=True, check=False)

    assert done.stderr.decode().endswith(
        f"JournalError: The journal {name}/{JOURNAL_FILE} belongs to another user. Ask as that user, or as root.\n"
    )


def test_a_start_is_seen_before_the_journal_has_it(tmp_path: Path) -> None:
    submitting = msgspec.structs.replace(FIRST, state=JobState.SUBMITTING)
    assert phase(submitting, tmp_path) is JobState.SUBMITTING

    (tmp_path / STARTED_FILE).touch()
    assert phase(submitting, tmp_path) is JobState.RUNNING
    assert phase(msgspec.structs.replace(FIRST, state=JobState.STOPPING), tmp_path) is JobState.STOPPING


def test_a_job_that_was_never_started_has_not_ended(tmp_path: Path) -> None:
    assert not has_ended(tmp_path)
    assert not has_ended(tmp_path / "gone")
