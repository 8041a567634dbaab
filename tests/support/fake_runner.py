"""A target that exists only as files beside the jobs' directories; agents of tests know it by ``LAUNCHD_TEST_TARGETS``.

It behaves as ``resource_args.fake`` says (:class:`FakeKnobs`). Nothing runs: a
workload's state is worked out from the clock whenever it is inspected, so it
lives on when a worker dies, as a workload in a real cluster would.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ipc.errors import RunnerUnavailable, SubmitError
from ipc.handles import ExitResult, Handle
from ipc.states import JobState
from ipc.work_order import WorkOrder
from workers.output import OutputWriter
from workers.runners import Capabilities, LaunchRequest, Runner, Status, read_args

NAME = "fake"

#: The fake's outside world, beside the jobs' directories.
CLUSTER_DIRECTORY = "fake-cluster"


class FakeKnobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a workload behaves; times in seconds.

    It starts for ``start_seconds``, runs for ``run_seconds`` and ends with
    ``exit_code``; with ``preempt`` it ends preempted. ``submit_error`` is a
    target's refusal. The target does not answer the first
    ``submit_unavailable_times``, ``find_unavailable_times``, ``inspect_unavailable_times`` and
    ``cancel_unavailable_times`` questions of the kind; with ``submit_creates`` an unanswered submission takes effect
    all the same.
    ``cancel_ignored`` has it ignore the polite part of a stop, so that it takes the whole grace.
    """

    start_seconds: float = 0.0
    run_seconds: float = 0.0
    exit_code: int = 0
    preempt: bool = False
    submit_error: str | None = None
    submit_unavailable_times: int = 0
    submit_creates: bool = False
    find_unavailable_times: int = 0
    inspect_unavailable_times: int = 0
    cancel_ignored: bool = False
    cancel_unavailable_times: int = 0


class _Workload(msgspec.Struct):
    """What the outside world knows of one name; times in seconds since the epoch."""

    knobs: FakeKnobs
    created_at: float | None = None
    creations: int = 0
    submissions: int = 0
    finds: int = 0
    inspections: int = 0
    cancels: int = 0
    ends_by_cancel_at: float | None = None
    output: str = ""
    deleted: bool = False

    def create(self, launch: LaunchRequest) -> None:
        """Come into being, unless it did before."""
        if self.created_at is None:
            self.created_at = time.time()
            self.creations += 1
            self.output = f"{' '.join(launch.command)}\n"


class FakeRunner(Runner):
    """The resource ``fake``."""

    capabilities = Capabilities(poll_seconds=0.05, keeps_output=True)

    def __init__(self, order: WorkOrder) -> None:
        super().__init__(order)
        self._cluster = Path(order.directory).parent / CLUSTER_DIRECTORY
        self._knobs = FakeKnobs()

    def validate(self) -> None:
        """Raise :class:`InvalidSpec` for knobs that do not exist."""
        self._knobs = read_args(self._order.spec, NAME, FakeKnobs)

    def submit(self, launch: LaunchRequest) -> Handle:
        """Create the workload unless it exists; refuse or stay silent as the knobs say."""
        with self._workload(launch.name) as workload:
            workload.knobs = self._knobs
            workload.submissions += 1
            answers = workload.submissions > self._knobs.submit_unavailable_times
            if answers and self._knobs.submit_error is not None:
                raise SubmitError(self._knobs.submit_error)
            if answers or self._knobs.submit_creates:
                workload.create(launch)
        if not answers:
            raise RunnerUnavailable("The fake target did not answer to the submission.")
        return Handle(NAME, launch.name)

    def find(self, name: str) -> Handle | None:
        """Return the workload's handle if it was created."""
        with self._workload(name) as workload:
            workload.finds += 1
            if workload.finds <= workload.knobs.find_unavailable_times:
                raise RunnerUnavailable("The fake target is away.")
            return Handle(NAME, name) if workload.created_at is not None else None

    def inspect(self, handle: Handle) -> Status:
        """Return the workload's state as of now."""
        with self._workload(handle.name) as workload:
            workload.inspections += 1
        if workload.inspections <= workload.knobs.inspect_unavailable_times:
            raise RunnerUnavailable("The fake target did not answer.", hint="Ask it later.")
        return _status_at(workload, time.time())

    def cancel(self, handle: Handle, grace_seconds: float) -> None:
        """End the workload at once, or after the grace where it ignores politeness."""
        with self._workload(handle.name) as workload:
            workload.cancels += 1
            if workload.cancels <= workload.knobs.cancel_unavailable_times:
                raise RunnerUnavailable("The fake target did not answer to the stop.")
            delay = grace_seconds if workload.knobs.cancel_ignored else 0.0
            ends_at = time.time() + delay
            workload.ends_by_cancel_at = min(ends_at, workload.ends_by_cancel_at or ends_at)

    def follow_output(self, handle: Handle, writer: OutputWriter) -> None:
        """Write the workload's only line of output, its command, which is all there when it is created."""
        with self._workload(handle.name) as workload:
            output = workload.output.encode()
        writer.write(output[writer.position :])

    def delete(self, handle: Handle) -> None:
        """Note that the workload was removed; how it ended can still be asked."""
        with self._workload(handle.name) as workload:
            workload.deleted = True

    def _path(self, name: str) -> Path:
        return self._cluster / f"{name}.json"

    @contextmanager
    def _workload(self, name: str) -> Iterator[_Workload]:
        """Give the workload to be read and changed, by one process at a time."""
        self._cluster.mkdir(exist_ok=True)
        lock = os.open(self._cluster / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            workload = self._load(name)
            try:
                yield workload
            finally:
                self._store(name, workload)
        finally:
            os.close(lock)

    def _load(self, name: str) -> _Workload:
        try:
            return msgspec.json.decode(self._path(name).read_bytes(), type=_Workload)
        except FileNotFoundError:
            return _Workload(self._knobs)

    def _store(self, name: str, workload: _Workload) -> None:
        temporary = self._path(name).with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(workload))
        temporary.replace(self._path(name))


def _status_at(workload: _Workload, now: float) -> Status:
    knobs = workload.knobs
    started = (workload.created_at or now) + knobs.start_seconds
    ended = started + knobs.run_seconds
    if workload.ends_by_cancel_at is not None and workload.ends_by_cancel_at < ended:
        stopped = now >= workload.ends_by_cancel_at
        return Status(JobState.STOPPED, ExitResult(signal=15)) if stopped else Status(JobState.STOPPING)
    if now < started:
        return Status(JobState.STARTING)
    if now < ended:
        return Status(JobState.RUNNING)
    return _end_status(knobs)


def _end_status(knobs: FakeKnobs) -> Status:
    if knobs.preempt:
        return Status(JobState.PREEMPTED, ExitResult(message="The fake target needed the place for another workload."))
    state = JobState.FAILED if knobs.exit_code else JobState.FINISHED
    return Status(state, ExitResult(code=knobs.exit_code))
