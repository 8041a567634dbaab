"""The journal of an earlier version is read. `tests/data/version-*/journal.sql` was written by that version's agent."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ipc.messages import Adopt, Start
from ipc.states import JobState
from launchd import __version__
from launchd.agent.deliveries import decode_outcome
from launchd.agent.journal import JOURNAL_FILE, EndedJob
from launchd.agent.journal_schema import LAID_OUT_BY
from tests.support.controller_harness import ControllerHarness

DATA = Path(__file__).parents[2] / "data"
VERSIONS = sorted(path.name for path in DATA.glob("version-*"))


@pytest.fixture(params=VERSIONS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ControllerHarness]:
    db = sqlite3.connect(tmp_path / JOURNAL_FILE)
    db.executescript((DATA / request.param / "journal.sql").read_text())
    db.close()
    made = ControllerHarness(tmp_path)
    made.controller.restore()
    made.turn()
    yield made
    made.close()


def test_the_version_that_reads_the_journal_from_now_on_is_noted(harness: ControllerHarness) -> None:
    assert harness.journal.meta(LAID_OUT_BY) == __version__


def test_its_running_job_is_adopted(harness: ControllerHarness) -> None:
    [job] = harness.table.jobs()
    [adopt] = harness.worker(job.item_id).sent
    assert (job.state, type(adopt)) == (JobState.RUNNING, Adopt)
    assert isinstance(adopt, Adopt)
    assert adopt.handle is not None
    assert (adopt.name, adopt.handle.name) == (job.name, job.name)


def test_its_ended_jobs_are_listed(harness: ControllerHarness) -> None:
    ended = harness.journal.ended_jobs(10)
    assert [job.exit_code for job in ended] == [143, 3, 0]
    assert harness.journal.ended_before_last(2, 10) == [EndedJob(ended[2].item_id, (ended[2].name,), ())]


def test_what_it_had_not_told_is_still_to_be_told(harness: ControllerHarness) -> None:
    [delivery] = harness.outbox.undelivered()
    assert (delivery.kind, decode_outcome(delivery.body).report.status) == ("outcome", "failed")


def test_the_name_of_its_agent_is_known(harness: ControllerHarness) -> None:
    assert harness.journal.meta("agent_id") == harness.table.jobs()[0].agent_id


def test_its_job_starts_over_under_the_next_name(harness: ControllerHarness) -> None:
    [job] = harness.table.jobs()
    waiting = msgspec.structs.replace(job, state=JobState.BUILDING, recorded=False, handle=None)
    harness.journal.save(waiting)
    harness.journal.commit()
    harness.restart()
    [start] = harness.worker(job.item_id).sent
    assert isinstance(start, Start)
    assert (job.name[-2:], start.name) == ("-1", f"{job.name[:-2]}-2")
    assert harness.job(job.item_id).key_name == job.name
