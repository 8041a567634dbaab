"""Which containers are orphans: decided by the journal, and never where a job may be adopted."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.agent_mark import agent_mark
from ipc.engine_upkeep import FindContainers, Found, FoundContainer, Stray
from ipc.handles import Handle
from ipc.run_spec import RunSpec
from ipc.states import JobState
from launchd.agent.job_record import JobRecord
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.agent.orphans import find_orphans, reason

JOB = JobRecord(
    item_id="item",
    agent_id="agent",
    queue="queue",
    name="launchd-abc-2",
    attempt=2,
    spec=RunSpec("entity", "project", "run", "local-container"),
    raw_spec="{}",
    claimed_at=0.0,
    state=JobState.RUNNING,
    recorded=True,
)
CONTAINER = FoundContainer("c" * 64, "launchd-abc-2", "item", "running")


def _job(**changes: Any) -> JobRecord:
    return msgspec.structs.replace(JOB, **changes)


def _container(name: str) -> FoundContainer:
    return msgspec.structs.replace(CONTAINER, name=name)


def test_the_container_of_an_active_job_is_no_orphan() -> None:
    assert reason(CONTAINER, JOB, has_directory=True) is None
    assert reason(CONTAINER, JOB, has_directory=False) is None


@pytest.mark.parametrize("state", [JobState.FINISHED, JobState.FAILED, JobState.STOPPED, JobState.PREEMPTED])
def test_that_of_a_job_that_is_over_is_one(state: JobState) -> None:
    assert reason(CONTAINER, _job(state=state), has_directory=True) == f"its job is over ({state})"


def test_that_of_an_earlier_attempt_is_one() -> None:
    assert reason(_container("launchd-abc-1"), JOB, has_directory=True) == "its job has started over"


def test_that_of_a_later_attempt_than_the_journal_knows_is_left() -> None:
    assert reason(_container("launchd-abc-3"), JOB, has_directory=True) is None


def test_what_no_journal_knows_is_one_unless_its_directory_is_there() -> None:
    assert reason(CONTAINER, None, has_directory=False) == "no job is known for it"
    assert reason(CONTAINER, None, has_directory=True) is None


def test_a_journal_is_asked_after_the_engine(tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL_FILE)
    ended = _job(item_id="over", name="launchd-def-1", attempt=1, state=JobState.FAILED)
    journal.save(msgspec.structs.replace(ended, handle=Handle("local-container", ended.name, data={"id": "e" * 64})))
    journal.commit()
    asked = []

    def find(task: FindContainers) -> Found:
        asked.append(task)
        # It comes into being while the engine is asked, and so does its job.
        journal.save(JOB)
        journal.commit()
        lost = FoundContainer("l" * 64, "launchd-lost-1", "lost", "exited")
        return Found((CONTAINER, lost), (Stray("e" * 64, (7,)),))

    try:
        orphans = find_orphans(tmp_path, find)
    finally:
        journal.close()

    assert asked == [FindContainers(agent_mark(str(tmp_path)), ("e" * 64,))]
    assert [one.container.name for one in orphans.containers] == ["launchd-lost-1"]
    assert orphans.removal.strays == ("e" * 64,)
    assert orphans.removal.containers == ("l" * 64,)


def test_without_a_journal_every_container_without_a_directory_is_one(tmp_path: Path) -> None:
    (tmp_path / "jobs" / CONTAINER.name).mkdir(parents=True)
    other = _container("launchd-other-1")

    orphans = find_orphans(tmp_path, lambda _task: Found((CONTAINER, other)))

    assert [one.container for one in orphans.containers] == [other]
