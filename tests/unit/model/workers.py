"""Workers that behave as real ones do, one step at a time, until they leave or die."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ipc.errors import ErrorReport
from ipc.exits import WorkerExit
from ipc.handles import ExitResult, Handle
from ipc.messages import (
    Adopt,
    Command,
    Event,
    Failed,
    Finished,
    Hello,
    PhaseChanged,
    Start,
    Stop,
    SubmitApproved,
    Submitted,
    Submitting,
)
from ipc.states import JobState
from tests.unit.model.world import World, result_of

#: One step of a worker: what it reports, or the code that it leaves with.
Step = Event | int

SIGKILL = -9


@dataclass(eq=False)
class ModelWorker:
    """A worker with a job. The model reads what it is told, and says when it goes on."""

    world: World
    pid: int
    item_id: str | None
    kill_reason: str | None = None
    sent: list[Command] = field(default_factory=list)
    approved: bool = False
    stopped: bool = False
    awaiting_approval: Path | None = None
    _steps: Iterator[Step] | None = None

    def send(self, command: Command) -> None:
        self.sent.append(command)
        match command:
            case Start() | Adopt():
                self._steps = self._work(command)
            case SubmitApproved():
                self.approved = True
            case Stop():
                self.stopped = True
            case _:
                pass

    def kill(self, reason: str) -> None:
        self.kill_reason = self.kill_reason or reason

    def reap(self, *, lost: bool) -> None:
        pass

    def step(self) -> Step | None:
        """What it does next: reports something, or leaves; ``None`` while it waits."""
        if self.kill_reason is not None:
            return SIGKILL
        return None if self._steps is None else next(self._steps, None) or None

    def orphaned(self, *, creates: bool) -> None:
        """Lose the supervisor. What was approved may be created yet, before the worker notices."""
        if creates and self.approved and self.awaiting_approval is not None:
            self.world.submit(self.awaiting_approval, self.awaiting_approval.name, self.item_id or "")

    def _work(self, assignment: Start | Adopt) -> Iterator[Step]:
        yield Hello(self.pid)
        directory = Path(assignment.directory)
        match assignment:
            case Adopt(handle=Handle()):
                yield from self._watch(directory)
                return
            case Adopt(name=name, rescue=rescue):
                handle = self.world.find(directory, name)
                if handle is not None:
                    yield Submitted(handle)
                    yield from self._watch(directory)
                    return
                if rescue:
                    yield Failed(ErrorReport("agent", "NeverStarted", "The job was never started."))
                    yield from self._leave()
                    return
                yield PhaseChanged(JobState.CLAIMED, "nothing was submitted before; starting over")
        yield from self._launch(directory, assignment.name)

    def _launch(self, directory: Path, name: str) -> Iterator[Step]:
        yield PhaseChanged(JobState.FETCHING)
        if self.stopped:
            yield from self._cancel()
            return
        yield PhaseChanged(JobState.SUBMITTING)
        if self.stopped:
            yield from self._cancel()
            return
        self.awaiting_approval = directory
        yield Submitting(name)
        while not (self.approved or self.stopped):
            yield 0
        if self.stopped:
            yield from self._cancel()
            return
        handle = self.world.submit(directory, name, self.item_id or "")
        self.awaiting_approval = None
        yield Submitted(handle)
        yield from self._watch(directory)

    def _watch(self, directory: Path) -> Iterator[Step]:
        shown: JobState | None = None
        while (state := self.world.state(directory)) is JobState.RUNNING:
            if self.stopped:
                yield PhaseChanged(JobState.STOPPING)
                self.world.stop(directory)
                continue
            yield 0 if shown is state else PhaseChanged(state)
            shown = state
        yield Finished(state, result_of(state))
        yield from self._leave()

    def _cancel(self) -> Iterator[Step]:
        yield Finished(JobState.STOPPED, ExitResult(message="The job was stopped before it was started."))
        yield from self._leave()

    def _leave(self) -> Iterator[Step]:
        yield LEAVES


#: Stands for exit code 0 among steps, where 0 is "nothing yet".
LEAVES = 1_000


def exit_code_of(step: Step) -> int | None:
    """The exit code that a step is, or ``None`` for a report."""
    if step == LEAVES:
        return WorkerExit.DONE
    return step if isinstance(step, int) else None


@dataclass
class ModelPool:
    """As many spare workers as are wanted."""

    world: World
    busy: dict[str, ModelWorker] = field(default_factory=dict)
    living: list[ModelWorker] = field(default_factory=list)

    def worker_of(self, item_id: str) -> ModelWorker | None:
        return self.busy.get(item_id)

    def has_spare(self) -> bool:
        return True

    def assign(self, item_id: str) -> ModelWorker:
        worker = ModelWorker(self.world, len(self.living) + 1, item_id)
        self.living.append(worker)
        self.busy[item_id] = worker
        return worker

    def remove(self, worker: ModelWorker) -> None:
        """Forget a worker that has left."""
        self.living.remove(worker)
        self.busy.pop(worker.item_id or "", None)

    def scale_to(self, waiting: int, keep_spares: bool) -> None:
        pass
