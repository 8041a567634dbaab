"""Where a job runs: one module per kind of target, and the interface they share.

Owns the interface and the choice among runners; nothing but the chosen one is imported, and no runner imports another.
"""

import functools
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from ipc import targets
from ipc.boot_clock import BootMoment
from ipc.errors import HostError, InvalidSpec, JobError
from ipc.handles import ExitResult, Handle
from ipc.run_spec import RunSpec
from ipc.states import JobState
from ipc.work_order import WorkOrder
from workers.builders import Build
from workers.context import JobContext
from workers.extras import needed_for
from workers.job_environment import CHUNK_CHARACTERS
from workers.output import OutputWriter
from workers.wrong_arguments import wrong_arguments

Args = TypeVar("Args", bound=msgspec.Struct)


class Capabilities(msgspec.Struct, frozen=True):
    """What a runner can do, as data, so that no code asks which runner it is.

    ``poll_seconds`` is how often :meth:`Runner.inspect` is worth asking where there is no descriptor to wait on;
    ``keeps_output`` whether the target keeps the output itself, so that :meth:`Runner.follow_output` has to bring it;
    ``may_lose_output`` whether it loses what a workload prints that ends while it does not answer; ``runs_images``
    whether it runs container images. ``notes_start`` says that it notes a start in the job's directory itself, before
    anything of the job runs. A variable of a job holds ``variable_characters`` at most.
    """

    poll_seconds: float = 5.0
    keeps_output: bool = False
    may_lose_output: bool = False
    runs_images: bool = False
    notes_start: bool = False
    variable_characters: int = CHUNK_CHARACTERS


class LaunchRequest(msgspec.Struct, frozen=True):
    """What a runner is to start: ``command`` in ``work``, under ``name``, with what ``build`` made for it.

    ``place`` is a path within ``work``, in which the command runs; an image that was built for the job knows it.
    The command is ``entry_point`` with ``args`` behind it; without an entry point, which only an image may lack, the
    image's own takes the ``args``. ``environment`` holds the job's own variables, the same on any target; what else a
    process needs (``PATH``, for instance) is the target's to add.
    """

    name: str
    entry_point: tuple[str, ...]
    environment: dict[str, str]
    work: Path
    build: Build = Build()
    args: tuple[str, ...] = ()
    place: str = ""

    @property
    def command(self) -> tuple[str, ...]:
        """The whole command, where it has an entry point."""
        return (*self.entry_point, *self.args)


class Status(msgspec.Struct, frozen=True):
    """What a runner saw: ``result`` goes with a terminal ``state``.

    ``look_again_seconds`` says that another look is worth its while after so long, although nothing may tell so.
    """

    state: JobState
    result: ExitResult | None = None
    message: str | None = None
    look_again_seconds: float | None = None


class Runner(ABC):
    """One kind of target. Made for one job; called from that job's thread alone, but for :meth:`follow_output`."""

    #: What holds for all of a kind; a runner whose settings say otherwise sets its own.
    capabilities: Capabilities = Capabilities()

    def __init__(self, order: WorkOrder) -> None:
        self._order = order

    @classmethod  # noqa: B027 (a runner that has nothing to do keeps it)
    def preload(cls) -> None:
        """Read in the fork server what all workers share; no thread, socket or secret is there afterwards."""

    @classmethod  # noqa: B027
    def warm_up(cls) -> None:
        """Do in a spare worker what the next job would otherwise wait for; nothing exists outside afterwards."""

    @classmethod  # noqa: B027
    def discard_warm(cls) -> None:
        """Undo :meth:`warm_up`, if it was done: the job is another runner's."""

    def prepare(self) -> None:  # noqa: B027
        """Do what must be done while the worker has no threads; nothing exists outside afterwards."""

    def validate(self) -> None:  # noqa: B027
        """Check, before anything is fetched, that the job asks for what this target can do; read its arguments.

        Not called for a job that is adopted: what exists outside was checked by the version that created it.

        Raises:
            InvalidSpec: the run spec asks for something else.
        """

    def fetch_image(self, image: str, context: JobContext) -> None:  # noqa: B027
        """Bring an image that was built elsewhere to the target, where that takes its time; nothing exists afterwards.

        Raises:
            InvalidSpec: ``image`` is no name of an image.
            PolicyRefused: this host's policy does not grant it.
            SourceError: it cannot be had.
            JobCancelled: the job was stopped meanwhile.
        """

    def fetch_built(self, build: Build, context: JobContext) -> None:  # noqa: B027
        """Bring the image that a builder made, or chose, to the target, where it is not there already.

        Raises:
            SourceError: it cannot be had.
            JobCancelled: the job was stopped meanwhile.
        """

    def take_gpus(self, order: WorkOrder) -> None:
        """Note the GPUs in ``order``, which the job was given since this was made; comes before :meth:`submit`."""
        self._order = order

    @abstractmethod
    def submit(self, launch: LaunchRequest) -> Handle:
        """Create the workload; at most once under one name, whichever process asks.

        Raises:
            SubmitError: the target refused it, nothing exists.
            RunnerUnavailable: the target did not answer; ask :meth:`find`.
        """

    def take_over(self, api_key: str) -> None:  # noqa: B027
        """Note the key of a job that another worker may have submitted; comes before :meth:`find`."""

    @abstractmethod
    def find(self, name: str) -> Handle | None:
        """Return the handle of what was created under ``name``, ended or not; raises :class:`RunnerUnavailable`."""

    def started(self, handle: Handle) -> BootMoment | None:  # noqa: ARG002 (the interface's)
        """Return when a workload of this host was started, or ``None`` where no file of the job says that."""
        return None

    @abstractmethod
    def inspect(self, handle: Handle) -> Status:
        """Return how the workload is; raises :class:`RunnerUnavailable`."""

    def why_too_much(self) -> JobError | None:
        """Return why the running workload is to be ended: it has taken more than it may. None where it has not.

        Asked at each poll; it does not wait.
        """
        return None

    @abstractmethod
    def cancel(self, handle: Handle, grace_seconds: float) -> None:
        """Begin to stop the workload with all it started: politely, by force after ``grace_seconds``. Does not wait.

        Raises :class:`RunnerUnavailable`; it is called again then.
        """

    def wait_fileno(self, handle: Handle) -> int | None:  # noqa: ARG002 (the interface's)
        """Return a descriptor that becomes readable when :meth:`inspect` is worth asking, or ``None`` to be polled."""
        return None

    def watch_scope(self, handle: Handle) -> str | None:  # noqa: ARG002 (the interface's)
        """Return where the process that watches this kind of target finds the workload, in its own words; or ``None``.

        The worker is told of changes there as well, beside looking at every :attr:`Capabilities.poll_seconds`.
        """
        return None

    def follow_output(self, handle: Handle, writer: OutputWriter) -> None:  # noqa: B027
        """Write the output from byte ``writer.position`` on to ``writer``, as it comes; return at the output's end.

        Called, in a thread of its own, where :attr:`Capabilities.keeps_output` says so; elsewhere the workload's
        output goes to the job's files without the worker. Raises :class:`RunnerUnavailable`; it is called again then.
        """

    def delete(self, handle: Handle) -> None:  # noqa: B027
        """Remove what is left of an ended workload outside the job's directory; nothing to remove is no error."""


def read_args(spec: RunSpec, target: str, kind: type[Args]) -> Args:
    """Return the run spec's arguments for ``target``; raises :class:`InvalidSpec` where they are not of ``kind``."""
    try:
        return msgspec.convert(spec.resource_args.get(target) or {}, kind)
    except msgspec.ValidationError as error:
        raise wrong_arguments(f"resource_args.{target}", error) from error


@functools.cache
def runner_class(resource: str) -> type[Runner]:
    """Return the class of the runner for ``resource``; raises :class:`InvalidSpec`."""
    target = targets.find_target(resource)
    if target is None or target.runner is None:
        known = ", ".join(sorted(targets.RUNNABLE))
        raise InvalidSpec(f"The resource {resource!r} cannot be run by this agent.", hint=f"It runs: {known}.")
    with needed_for(target.name, target.extra):
        found: type[Runner] = pkgutil.resolve_name(target.runner)
    return found


def preload(resources: Iterable[str]) -> None:
    """Let the runners of ``resources`` read what all workers share."""
    for kind in _installed(resources):
        kind.preload()


def warm_up(resources: Iterable[str]) -> None:
    """Let the runners of ``resources`` use the time that a spare worker has."""
    for kind in _installed(resources):
        kind.warm_up()


def discard_warm(resources: Iterable[str]) -> None:
    """Let the runners of ``resources`` undo their warming up."""
    for kind in _installed(resources):
        kind.discard_warm()


def create_runner(order: WorkOrder, warmed: Iterable[str]) -> Runner:
    """Return the runner for the job of ``order``; those of ``warmed`` that it does not need undo their warming up."""
    discard_warm(set(warmed) - {order.spec.resource})
    return runner_class(order.spec.resource)(order)


def _installed(resources: Iterable[str]) -> Iterator[type[Runner]]:
    """Of the resources that the policy grants, the runners of those that have one whose SDK is there."""
    for resource in resources:
        target = targets.find_target(resource)
        if target is not None and target.runner is not None:
            with suppress(HostError):
                yield runner_class(resource)
