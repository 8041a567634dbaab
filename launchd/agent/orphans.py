"""Orphans: containers of this agent that none of its jobs has, and processes of such that the engine does not know of.

Owns the judgement, which is pure, and the order of the looks: first what exists, then the journal. A name is on disk
before anything can exist under it, so that what was found and is not in the journal has no job.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from ipc.agent_mark import agent_mark
from ipc.engine_upkeep import FindContainers, Found, FoundContainer, RemoveContainers, Stray
from ipc.handles import attempt_names
from ipc.targets import LOCAL_CONTAINER
from launchd.agent.job_record import JobRecord, job_directory
from launchd.agent.journal_reader import ended_workloads, read_job


class Orphan(msgspec.Struct, frozen=True):
    """A container that is to go, and why, as the end of a sentence."""

    container: FoundContainer
    why: str


class Orphans(msgspec.Struct, frozen=True):
    """What is to be removed of an engine's containers, and of the processes that it does not know of."""

    containers: tuple[Orphan, ...] = ()
    strays: tuple[Stray, ...] = ()

    @property
    def removal(self) -> RemoveContainers:
        """The task that removes them."""
        return RemoveContainers(
            tuple(orphan.container.id for orphan in self.containers), tuple(stray.container for stray in self.strays)
        )


def find_orphans(state_dir: Path, find: Callable[[FindContainers], Found]) -> Orphans:
    """Return the orphans of the agent with this state directory; ``find`` asks its engine.

    Raises:
        JournalError: its journal cannot be read.
    """
    ended = ended_workloads(state_dir, LOCAL_CONTAINER)
    found = find(FindContainers(agent_mark(str(state_dir)), tuple(ended)))
    orphans = [Orphan(one, why) for one in found.containers if (why := _why(one, state_dir)) is not None]
    return Orphans(tuple(orphans), found.strays)


def _why(container: FoundContainer, state_dir: Path) -> str | None:
    try:
        job = read_job(state_dir, container.item_id)
    except FileNotFoundError:
        job = None
    return reason(container, job, has_directory=Path(job_directory(state_dir, container.name)).exists())


def reason(container: FoundContainer, job: JobRecord | None, *, has_directory: bool) -> str | None:
    """Return why the container is an orphan, ``None`` for one that a job has, or may yet have.

    ``job`` is what the journal says of its item. Without that, a job may still be adopted by its directory.
    """
    if job is None:
        return None if has_directory else "no job is known for it"
    if container.name not in attempt_names(job.name, job.attempt):
        # A journal that was restored may know less than there is.
        return None
    if job.is_over:
        return f"its job is over ({job.state})"
    return None if container.name == job.name else "its job has started over"
