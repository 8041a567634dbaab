"""A target that exists only as files beside the jobs' directories: for tests and for rehearsals of failures.

It behaves as ``resource_args.fake`` says (:class:`FakeKnobs`). Nothing runs: a
workload's state is worked out from the clock whenever somebody looks, so it
lives on when a worker dies, as a workload in a real cluster would.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ipc.errors import InvalidSpec, RunnerUnavailable, SubmitError
from ipc.handles import ExitResult, Handle
from ipc.run_spec import RunSpec
from ipc.states import JobState
from ipc.work_order import WorkOrder
from workers.runners import Capabilities, LaunchRequest, Status

#: The fake's outside world, beside the jobs' directories.
CLUSTER_DIRECTORY = "fake-cluster"


class FakeKnobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a workload behaves; times in seconds.

    It starts for ``start_seconds``, runs for ``run_seconds`` and ends with
    ``exit_code``; with ``preempt`` it ends preempted. ``submit_error`` is a
    target's refusal. The target does not answer the first
    ``submit_unavailable_times`` and ``inspect_unavailable_times`` questions of
    the kind; with ``submit_creates`` an unanswered submission takes effect all the same.
    ``cancel_ignored`` makes it deaf to a cancel's politeness, so that it takes the whole grace.
    """

    start_seconds: float = 0.0
    run_seconds: float = 0.0
    exit_code: int = 0
    preempt: bool = False
    submit_error: str | None = None
    submit_unavailable_times: int = 0
    submit_creates: bool = False
    inspect_unavailable_times: int = 0
    cancel_ignored: bool = False


class _Workload(msgspec.Struct):
    """What the outside world knows of one name; times in seconds since the epoch."""

    knobs: FakeKnobs
    created_at: float | None = None
    creations: int = 0
    submissions: int = 0
    inspections: int = 0
    ends_by_cancel_at: float | None = None
    output: str = ""
    deleted: bool = False

    def create(self, launch: LaunchRequest) -> None:
        """Come into being, unless it did before."""
        if self.created_at is None:
            self.created_at = time.time()
            self.creations += 1
            self.output = f"{' '.join(launch.command)}\n"


class FakeRunner:
    """The resource ``fake``."""

    capabilities = Capabilities(poll_seconds=0.05)

    def __init__(self, order: WorkOrder) -> None:
        self._cluster = Path(order.directory).parent / CLUSTER_DIRECTORY
        self._knobs = _read_knobs(order.spec)

    @classmethod
    def warm_up(cls) -> None:
        """Do nothing: a fake needs no process."""

    @classmethod
    def discard_warm(cls) -> None:
        """Do nothing."""

    def prepare(self) -> None:
        """Do nothing."""

    def validate(self, spec: RunSpec) -> None:
        """Raise :class:`InvalidSpec` for knobs that do not exist."""
        _read_knobs(spec)

    def submit(self, launch: LaunchRequest) -> Handle:
        """Create the workload unless it exists; refuse or stay silent as the knobs say."""
        with self._workload(launch.name) as workload:
            workload.submissions += 1
            answers = workload.submissions > self._knobs.submit_unavailable_times
            if answers and self._knobs.submit_error is not None:
                raise SubmitError(self._knobs.submit_error)
            if answers or self._knobs.submit_creates:
                workload.create(launch)
        if not answers:
            raise RunnerUnavailable("The fake target did not answer to the submission.")
        return Handle("fake", launch.name)

    def find(self, name: str) -> Handle | None:
        """Return the workload's handle if it was created."""
        with self._workload(name) as workload:
            return Handle("fake", name) if workload.created_at is not None else None

    def inspect(self, handle: Handle) -> Status:
        """Return the workload's state as of now."""
        with self._workload(handle.name) as workload:
            workload.inspections += 1
        if workload.inspections <= workload.knobs.inspect_unavailable_times:
            raise RunnerUnavailable("The fake target did not answer.")
        return _status_at(workload, time.time())

    def wait_fileno(self, handle: Handle) -> int | None:  # noqa: ARG002 (the interface's)
        """Return ``None``: there is nothing to wait on."""
        return None

    def cancel(self, handle: Handle, grace_seconds: float) -> None:
        """End the workload at once, or after the grace where it ignores politeness."""
        with self._workload(handle.name) as workload:
            delay = grace_seconds if workload.knobs.cancel_ignored else 0.0
            ends_at = time.time() + delay
            workload.ends_by_cancel_at = min(ends_at, workload.ends_by_cancel_at or ends_at)

    def logs(self, handle: Handle, since: int) -> Iterator[bytes]:
        """Yield the workload's only line of output: its command."""
        with self._workload(handle.name) as workload:
            output = workload.output.encode()
        yield output[since:]

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


def _read_knobs(spec: RunSpec) -> FakeKnobs:
    try:
        return msgspec.convert(spec.resource_args.get("fake") or {}, FakeKnobs)
    except msgspec.ValidationError as error:
        raise InvalidSpec(f"Something is wrong in resource_args.fake: {error}.") from error


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
