"""Where a job runs: one module per kind of target, and the interface they share.

Owns the choice among them; nothing but the chosen one is imported, and no
runner imports another.
"""

import pkgutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from ipc.errors import InvalidSpec
from ipc.handles import ExitResult, Handle
from ipc.run_spec import RunSpec
from ipc.states import JobState
from ipc.work_order import WorkOrder


class Capabilities(msgspec.Struct, frozen=True):
    """What a runner can do, as data, so that nobody asks what it is.

    ``builder`` names what its projects need (a key of ``BUILDERS``), ``poll_seconds``
    how often :meth:`Runner.inspect` is worth asking where there is no descriptor to wait on.
    """

    builder: str | None = None
    poll_seconds: float = 5.0


class LaunchRequest(msgspec.Struct, frozen=True):
    """What a runner is to start: ``command`` in ``work`` with exactly ``environment``, under ``name``.

    ``holds`` are files that whoever keeps the job locks (shared) while it lives; see :class:`workers.builders.Build`.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    work: Path
    image: str | None = None
    cache_locks: tuple[str, ...] = ()


class Status(msgspec.Struct, frozen=True):
    """What a runner saw: ``result`` goes with a terminal ``state``."""

    state: JobState
    result: ExitResult | None = None
    message: str | None = None


class Runner(Protocol):
    """One kind of target. Made for one job; called from that job's thread alone."""

    capabilities: Capabilities

    def __init__(self, order: WorkOrder) -> None: ...

    @classmethod
    def warm_up(cls) -> None:
        """Do in a spare worker what the next job would otherwise wait for; nothing exists outside afterwards."""
        ...

    @classmethod
    def discard_warm(cls) -> None:
        """Undo :meth:`warm_up`, if it was done: the job is another runner's."""
        ...

    def prepare(self) -> None:
        """Do what must be done while the worker has no threads; nothing exists outside afterwards."""
        ...

    def validate(self, spec: RunSpec) -> None:
        """Raise :class:`InvalidSpec` when ``spec`` asks for what this target cannot do."""
        ...

    def submit(self, launch: LaunchRequest) -> Handle:
        """Create the workload; at most once under one name, whoever asks.

        Raises:
            SubmitError: the target refused it, nothing exists.
            RunnerUnavailable: the target did not answer; ask :meth:`find`.
        """
        ...

    def find(self, name: str) -> Handle | None:
        """Return the handle of what was created under ``name``, ended or not; raises :class:`RunnerUnavailable`."""
        ...

    def inspect(self, handle: Handle) -> Status:
        """Return how the workload is; raises :class:`RunnerUnavailable`."""
        ...

    def wait_fileno(self, handle: Handle) -> int | None:
        """Return a descriptor that becomes readable when :meth:`inspect` is worth asking, or ``None`` to be polled."""
        ...

    def cancel(self, handle: Handle, grace_seconds: float) -> None:
        """Begin to stop the workload with all it started: politely, by force after ``grace_seconds``. Does not wait."""
        ...

    def logs(self, handle: Handle, since: int) -> Iterator[bytes]:
        """Yield the output kept so far from byte ``since`` on."""
        ...

    def delete(self, handle: Handle) -> None:
        """Remove what is left of an ended workload outside the job's directory; nothing to remove is no error."""
        ...


RUNNERS: dict[str, str] = {
    "local-process": "workers.runners.local_process:LocalProcessRunner",
    "fake": "workers.runners.fake:FakeRunner",
}


def runner_class(resource: str) -> type[Runner]:
    """Return the class of the runner for ``resource``; raises :class:`InvalidSpec`."""
    path = RUNNERS.get(resource)
    if path is None:
        known = ", ".join(sorted(RUNNERS))
        raise InvalidSpec(f"The resource {resource!r} cannot be run by this agent.", hint=f"It runs: {known}.")
    found: type[Runner] = pkgutil.resolve_name(path)
    return found


def warm_up(resources: Iterable[str]) -> None:
    """Let the runners of ``resources`` use the time that a spare worker has."""
    for resource in RUNNERS.keys() & set(resources):
        runner_class(resource).warm_up()


def create_runner(order: WorkOrder, prepared: Iterable[str]) -> Runner:
    """Return the runner for the job of ``order``; those of ``prepared`` that are not needed forget it."""
    for other in (RUNNERS.keys() & set(prepared)) - {order.spec.resource}:
        runner_class(other).discard_warm()
    return runner_class(order.spec.resource)(order)
