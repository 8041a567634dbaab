"""What exists outside the agents: workloads, which run on whatever happens to agents and workers."""

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ipc.handles import ExitResult, Handle
from ipc.job_files import LOCK_FILE, STARTED_FILE
from ipc.states import JobState

RUNNER = "local-process"


@dataclass
class Workload:
    """A command that was started, with what it leaves in its job's directory as a shim does."""

    name: str
    item_id: str
    directory: Path
    ended: JobState | None = None
    lock: int | None = None

    def start(self) -> None:
        """Take the lock, note the start."""
        self.lock = os.open(self.directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        (self.directory / STARTED_FILE).write_text("{}")

    def end(self, state: JobState) -> None:
        """End, and leave a record of it where the directory is, or is made again."""
        self.ended = state
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "ended").write_text(state)
        self.let_go()

    def let_go(self) -> None:
        """Release the lock."""
        if self.lock is not None:
            os.close(self.lock)
        self.lock = None


@dataclass
class World:
    """The workloads of all hosts."""

    note: Callable[[str], object] = lambda _: None
    workloads: list[Workload] = field(default_factory=list)

    def close(self) -> None:
        for workload in self.workloads:
            workload.let_go()

    def of_item(self, item_id: str) -> list[Workload]:
        """The workloads that were ever created for an item."""
        return [workload for workload in self.workloads if workload.item_id == item_id]

    def running(self) -> list[Workload]:
        """The workloads that have not ended."""
        return [workload for workload in self.workloads if workload.ended is None]

    def find(self, directory: Path, name: str) -> Handle | None:
        """The handle of a workload, by what its directory says."""
        if (directory / STARTED_FILE).exists() or self._running_in(directory) is not None:
            return Handle(RUNNER, name, data={"pid": 1})
        return None

    def submit(self, directory: Path, name: str, item_id: str) -> Handle:
        """Start a workload, unless its directory says that it was started before."""
        found = self.find(directory, name)
        if found is None:
            workload = Workload(name, item_id, directory)
            workload.start()
            self.note(f"started: {name} of {item_id} in {directory}")
            self.workloads.append(workload)
            found = Handle(RUNNER, name, data={"pid": 1})
        return found

    def state(self, directory: Path) -> JobState:
        """How a workload is that was found or whose handle is known: as a runner finds out."""
        if self._running_in(directory) is not None:
            return JobState.RUNNING
        record = directory / "ended"
        # Without a record its end is not known, and the runner says that it failed.
        return JobState(record.read_text()) if record.exists() else JobState.FAILED

    def stop(self, directory: Path) -> None:
        """End a workload that was told to stop."""
        workload = self._running_in(directory)
        if workload is not None:
            workload.end(JobState.STOPPED)

    def _running_in(self, directory: Path) -> Workload | None:
        return next((one for one in self.running() if one.directory == directory), None)


def result_of(state: JobState) -> ExitResult:
    """What a runner says of the end of a command."""
    if state is JobState.STOPPED:
        return ExitResult(signal=15)
    return ExitResult(code=0 if state is JobState.FINISHED else 1)
