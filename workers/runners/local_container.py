"""Runs a job as a container of this host's engine: Docker, or podman's service.

The container outlives worker and supervisor; the engine knows it by the workload name. Everything else about a job is
read from the engine or from the job's directory, so any worker can take a job over at any time.
"""

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ipc.boot_clock import BootClock, BootMoment
from ipc.errors import InvalidSpec, JobError, RunnerUnavailable, SourceError, SubmitError
from ipc.gpus import gpu_request
from ipc.handles import ExitResult, Handle
from ipc.settings import DockerConfig
from ipc.sizes import format_size
from ipc.states import JobState
from ipc.targets import LOCAL_CONTAINER
from ipc.work_order import WorkOrder
from workers.builders import Build
from workers.confined.directories import WORK_DIRECTORY
from workers.context import JobContext
from workers.disk_meter import DiskMeter
from workers.docker import image_records, records, strays
from workers.docker.built_image import bring_built
from workers.docker.container import NAME_LABEL
from workers.docker.creation import create_container, discard
from workers.docker.device_watch import DeviceWatch
from workers.docker.disk_watch import DiskWatch
from workers.docker.end_result import exit_result, with_gpu_loss
from workers.docker.end_watch import EndWatch
from workers.docker.engine import CONFLICT, CREATED, ENDED, NOT_FOUND, Container, Engine, EngineError, EngineForbidden
from workers.docker.granted import granted_image, granted_request, loopback_warning
from workers.docker.image_records import HeldImage
from workers.docker.image_warnings import image_warnings
from workers.docker.images import ImageName, parse_image
from workers.docker.mounted_project import has_project
from workers.docker.output import LogCopy
from workers.docker.pull import bring
from workers.docker.records import EndRecord, GpuLossRecord, OveruseRecord, StartRecord, StopRecord
from workers.docker.rehearsal import POLICY, SPEC, rehearsed_engine
from workers.docker.request import ContainerRequest
from workers.docker.stop_signals import USUAL_STOP_SIGNAL
from workers.docker.usage import UsageWatch
from workers.output import OutputWriter
from workers.rehearsal import rehearse
from workers.runners import Capabilities, LaunchRequest, Runner, Status

T = TypeVar("T")

log = logging.getLogger(__name__)

RUNNING, PAUSED = "running", "paused"
_GPU_HINT = (
    "An engine needs the NVIDIA Container Toolkit, or CDI's description of the GPUs, to give them to a container."
)
#: What an image may say in its settings, in bytes.
MAX_SETTINGS_BYTES = 512 << 10
#: How often an engine that does not answer is asked again before a job has started, in seconds.
RETRY_SECONDS = 2.0
#: Between two looks at a log whose end is not the container's.
LOG_PAUSE_SECONDS = 0.5


class LocalContainerRunner(Runner):
    """The resource ``local-container``. Its arguments are flags of `docker run`; see ``workers.docker.flags``."""

    capabilities = Capabilities(poll_seconds=5.0, keeps_output=True, may_lose_output=True, runs_images=True)

    def __init__(self, order: WorkOrder, clock: BootClock | None = None) -> None:
        super().__init__(order)
        self._directory = Path(order.directory)
        # A job's directory lies in that of all jobs, in the agent's own.
        self._state_dir = str(self._directory.parent.parent)
        self._clock = clock or BootClock()
        self._engine = Engine(order.docker.host)
        # On a full disk a stop is noted nowhere else.
        self._stop: StopRecord | None = None
        self._overuse: OveruseRecord | None = None
        self._disk = DiskWatch(order.policy.containers.limits.disk)
        self._meter: DiskMeter | None = None
        self._usage = UsageWatch(self._directory)
        self._devices = DeviceWatch(order.gpus or ())
        self._image: HeldImage | None = None
        self._ends = EndWatch(self._engine.address)

    @classmethod
    def preload(cls) -> None:
        """Do for all workers what makes pages of memory a worker's own."""
        rehearse(SPEC, cls._rehearsed)

    @classmethod
    @contextmanager
    def _rehearsed(cls, order: WorkOrder, context: JobContext) -> Iterator[Runner]:  # noqa: ARG003 (the interface's)
        with rehearsed_engine(Path(order.directory)) as address:
            runner = cls(msgspec.structs.replace(order, docker=DockerConfig(host=address), policy=POLICY))
            yield runner
            runner._close()

    def _close(self) -> None:
        """Close what the end of a worker closes elsewhere; its container has ended."""
        self._ends.close()
        if self._image is not None:
            self._image.release()

    def take_gpus(self, order: WorkOrder) -> None:
        """Note the GPUs that the job was given."""
        super().take_gpus(order)
        self._devices = DeviceWatch(order.gpus or ())

    def validate(self) -> None:
        """Raise :class:`InvalidSpec` or :class:`PolicyRefused` for what the job may not have; reads the arguments."""
        image = self._order.spec.docker_image
        if image:
            granted_image(image, self._order)
        self._granted_request(image or "")
        asked = gpu_request(self._order.spec)
        if asked is not None and self._order.gpus is None:
            raise InvalidSpec(f"The job asks for {asked.words()}, and the agent of this host has given it none.")

    def _granted_request(self, image: str) -> ContainerRequest:
        return granted_request(self._order, image, self._engine.socket_path)

    # -- before anything exists

    def fetch_image(self, image: str, context: JobContext) -> None:
        """Have the engine pull the image, unless it has what is asked for."""
        name = granted_image(image, self._order)
        self._fetch(name, lambda request: bring(self._engine, name, request, context), context)

    def fetch_built(self, build: Build, context: JobContext) -> None:
        """Bring an image that was built outside of the engine; what this agent built no policy has to grant."""
        name = parse_image(build.image or "")
        if build.mounts_project:
            self._fetch(name, lambda request: bring(self._engine, name, request, context), context)
        else:
            self._fetch(name, lambda request: bring_built(self._engine, build, request, context), context)

    def _fetch(self, name: ImageName, act: Callable[[ContainerRequest], str | None], context: JobContext) -> None:
        """Have an image brought by ``act``, which returns its id where it is the agent's to remove."""
        request = self._granted_request(str(name))
        warning = loopback_warning(request, self._order)
        if warning is not None:
            context.warn(warning, "agent")
        self._hold_image(name)
        self._patiently(lambda: self._note(act(request)), context)
        self._patiently(lambda: self._tell_of(name, request, context), context)

    def _note(self, image_id: str | None) -> None:
        if image_id is not None and self._image is not None:
            self._image.note(image_id)

    def _tell_of(self, name: ImageName, request: ContainerRequest, context: JobContext) -> None:
        """Attach to the item what the submitter may not expect of the image; raise :class:`SourceError` for a huge one.

        The engine tells all settings of a container at each look at it, and its worker reads them.
        """
        image = self._engine.image(str(name))
        least = self._order.policy.containers.limits.health_check_seconds
        if image is not None:
            if image.settings_bytes > MAX_SETTINGS_BYTES:
                raise SourceError(
                    f"The image {name} has {format_size(image.settings_bytes)} of settings (variables, labels, ports),"
                    f" more than {format_size(MAX_SETTINGS_BYTES)}.",
                    hint="Put into files of the image what is in its ENV, LABEL and EXPOSE.",
                )
            for text in image_warnings(name, image, request, self._engine.architecture(), least):
                context.warn(text, "agent")

    def _hold_image(self, name: ImageName) -> None:
        """Keep the image from being removed as long as this worker has no container of it."""
        if self._image is None:
            self._image = image_records.hold(self._state_dir, str(name))

    def _patiently(self, act: Callable[[], None], context: JobContext) -> None:
        """Do what needs the engine, and wait for an engine that does not answer, for a time."""
        deadline = time.monotonic() + self._order.docker.unavailable_seconds
        while True:
            try:
                return act()
            except EngineForbidden:
                raise
            except EngineError as error:
                raise SourceError(f"The container engine refused to answer: {error.explanation}.") from error
            except RunnerUnavailable as error:
                if time.monotonic() > deadline:
                    raise
                context.progress(error.message)
                context.wait(RETRY_SECONDS)

    # -- the container

    def submit(self, launch: LaunchRequest) -> Handle:
        """Create the container and start it; what exists under the name is taken for it, and started once."""
        ended = records.read_end(self._directory)
        if ended is not None:
            return _handle(launch.name, ended.container)
        image = launch.build.image or ""
        self._hold_image(parse_image(image))
        request = self._granted_request(image)
        try:
            container = create_container(self._engine, self._order, launch, request)
        except EngineError as error:
            # About a question beside the creation: it may have been made.
            raise RunnerUnavailable(f"The container engine refused to answer: {error.explanation}.") from error
        if container.state.status == CREATED:
            self._start(launch.name, container.id)
        return _handle(launch.name, container.id)

    def _start(self, name: str, container_id: str) -> None:
        records.write_start(self._directory, StartRecord(self._engine.process(), self._clock.now()))
        try:
            self._engine.start(container_id)
        except EngineError as error:
            seen = self._engine.inspect(container_id)
            if seen is not None and seen.state.status != CREATED:
                return
            discard(self._engine, container_id)
            raise SubmitError(
                f"The container {name} could not be started: {error.explanation}.",
                hint=_GPU_HINT if self._order.gpus else None,
            ) from error

    def find(self, name: str) -> Handle | None:
        """Return the handle of the job's container; one that was never started is removed, and counts for nothing.

        An engine that was killed may have forgotten a start, so what it was asked to start counts.
        """
        ended = records.read_end(self._directory)
        if ended is not None:
            return _handle(name, ended.container)
        container = self._own(name)
        if container is not None and container.state.status == CREATED and not self._is_start_forgotten():
            discard(self._engine, container.id)
            # A start that was under way came first where it could not be removed.
            container = self._own(name)
        return None if container is None else _handle(name, container.id)

    def _is_start_forgotten(self) -> bool:
        """Return whether a start may have been forgotten: the engine that was asked for it does not run any more."""
        asked = records.read_start(self._directory)
        return asked is not None and (asked.engine is None or asked.engine != self._engine.process())

    def _own(self, name: str) -> Container | None:
        container = self._asked(lambda: self._engine.inspect(name))
        return container if container is not None and container.labels.get(NAME_LABEL) == name else None

    def started(self, handle: Handle) -> BootMoment | None:  # noqa: ARG002 (the directory is the job's)
        """Return when the engine was asked to start the container."""
        record = records.read_start(self._directory)
        return None if record is None else record.started

    def inspect(self, handle: Handle) -> Status:
        """Return how the container is; kill it where the grace of a stop is over."""
        self._ends.clear()
        ended = records.read_end(self._directory)
        if ended is not None:
            return _status(ended)
        container = self._asked(lambda: self._engine.inspect(_id_of(handle)))
        if container is None:
            return self._lost_status()
        if container.state.status in (*ENDED, CREATED):
            return _status(self._end_of(container))
        self._check_disk(container)
        self._find_project(container)
        self._usage.look(self._engine, container)
        stop = self._stop_record()
        if stop is not None:
            self._enforce(stop, container)
            return Status(JobState.STOPPING)
        message = "the container is paused" if container.state.status == PAUSED else self._gpu_loss(container)
        return Status(JobState.RUNNING, message=message)

    def _gpu_loss(self, container: Container) -> str | None:
        """Return which GPUs the container has lost; noted for the end of its job, which they may explain."""
        loss = self._asked(lambda: self._devices.loss(self._engine, container))
        if loss is not None and records.read_gpu_loss(self._directory) is None:
            log.error("A container has lost GPUs.", extra={"why": loss})
            with suppress(OSError):
                records.write_gpu_loss(self._directory, GpuLossRecord(loss))
        return loss

    def _check_disk(self, container: Container) -> None:
        """End a container that has written more than it may."""
        message = self._asked(lambda: self._disk.overuse(self._engine, container))
        if message is not None:
            self._overuse = OveruseRecord(message)
            with suppress(OSError):
                records.write_overuse(self._directory, self._overuse)
            self._try(container, lambda: self._engine.kill(container.id, signal.SIGKILL.name))

    def _find_project(self, container: Container) -> None:
        """Have what the job writes into its project measured, where that is mounted: no engine counts it."""
        limit = self._order.policy.containers.limits.disk
        if self._meter is None and limit is not None and has_project(container):
            directories = (self._directory / WORK_DIRECTORY,)
            self._meter = DiskMeter(directories, self._order.user, limit, key="launchd.policy.containers.limits.disk")

    def why_too_much(self) -> JobError | None:
        """Return why the job is to be ended for what it has written into its project; None where it may."""
        return None if self._meter is None else self._meter.why_too_much()

    def _end_of(self, container: Container) -> EndRecord:
        result = exit_result(container)
        overuse = self._overuse or records.read_overuse(self._directory)
        loss = records.read_gpu_loss(self._directory)
        if overuse is not None:
            result = msgspec.structs.replace(result, message=overuse.message)
        elif loss is not None and (result.code or result.signal):
            result = with_gpu_loss(result, loss.message)
        result = self._usage.completed(result, container)
        return EndRecord(container.id, result, stopped=self._stop_record() is not None)

    def _lost_status(self) -> Status:
        if self._stop_record() is not None:
            message = "The job was stopped, and its container removed from outside; its exit status is lost."
            return Status(JobState.STOPPED, ExitResult(message=message), message)
        message = "The job's container was removed from outside while it ran; its exit status is lost."
        return Status(JobState.FAILED, ExitResult(message=message), message)

    # -- the end

    def cancel(self, handle: Handle, grace_seconds: float) -> None:
        """Send the container its own stop signal; the looks after it kill it once the grace is over."""
        container = self._asked(lambda: self._engine.inspect(_id_of(handle)))
        if container is None or container.state.status in ENDED:
            return
        stop = self._stop_record()
        if stop is None or self._seconds_left(stop) > grace_seconds:
            self._note_stop(StopRecord(grace_seconds, self._clock.now()))
        if container.state.status == PAUSED:
            # A frozen process hears no signal.
            self._try(container, lambda: self._engine.unpause(container.id))
        own = container.config.stop_signal or USUAL_STOP_SIGNAL
        self._try(container, lambda: self._engine.kill(container.id, own))
        self._ends.wake_after(grace_seconds)

    def _note_stop(self, stop: StopRecord) -> None:
        self._stop = stop
        with suppress(OSError):
            records.write_stop(self._directory, stop)

    def _stop_record(self) -> StopRecord | None:
        return self._stop or records.read_stop(self._directory)

    def _seconds_left(self, stop: StopRecord) -> float:
        """Return how long the container still has; nothing after a reboot of the host, which ended it anyway."""
        age = self._clock.age(stop.requested)
        return 0.0 if age is None else stop.grace_seconds - age

    def _enforce(self, stop: StopRecord, container: Container) -> None:
        if self._seconds_left(stop) <= 0:
            self._try(container, lambda: self._engine.kill(container.id, signal.SIGKILL.name))
        else:
            # For a worker that has taken the job over.
            self._ends.wake_after(self._seconds_left(stop))

    def wait_fileno(self, handle: Handle) -> int | None:
        """Return a descriptor that is readable when the container has ended, or a stop's grace is over."""
        return self._ends.watch(_id_of(handle))

    def follow_output(self, handle: Handle, writer: OutputWriter) -> None:
        """Copy the engine's log of the container, which is there until that is removed."""
        engine = Engine(self._engine.address)
        try:
            self._follow(engine, _id_of(handle), LogCopy(self._directory, writer))
        except EngineError as error:
            if error.status != NOT_FOUND:
                raise RunnerUnavailable(f"The container engine does not give out the log: {error}.") from error
        finally:
            engine.close()

    def _follow(self, engine: Engine, container_id: str, copy: LogCopy) -> None:
        while (container := engine.inspect(container_id)) is not None:
            is_over = container.state.status in ENDED
            if container.config.tty:
                copy.copy_raw(engine.terminal_output(container_id, follow=not is_over))
            else:
                log = engine.output(container_id, follow=not is_over)
                copy.copy(log, lambda: engine.output(container_id, follow=False))
            if is_over or self._is_whole(engine, container_id, copy):
                return
            # An engine that ends gives a log that ends, of a container that does not.
            time.sleep(LOG_PAUSE_SECONDS)

    @staticmethod
    def _is_whole(engine: Engine, container_id: str, copy: LogCopy) -> bool:
        """Return whether a log that was followed has come to the container's end, without reading it again."""
        container = engine.inspect(container_id)
        is_over = container is None or container.state.status in ENDED
        return is_over and copy.ends_with(engine.output(container_id, follow=False, tail=1))

    def delete(self, handle: Handle) -> None:
        """Remove the container and its anonymous volumes, once it is on disk how it ended."""
        if self._meter is not None:
            self._meter.close()
        container = self._asked(lambda: self._engine.inspect(_id_of(handle)))
        if container is None:
            return
        if records.read_end(self._directory) is None:
            records.write_end(self._directory, self._end_of(container))
        if self._is_start_forgotten():
            # It may run without the engine's knowledge.
            strays.end(container.id)
        # A container that the engine could not remove is `dead`, and needs force.
        self._asked(lambda: self._engine.remove(container.id, force=container.state.status == "dead"), gone=None)

    # -- questions

    def _asked(self, question: Callable[[], T], gone: Any = None) -> T:
        """Return the engine's answer; what it cannot answer now, it is asked again.

        Raises:
            RunnerUnavailable: no answer, or a refusal that is about the engine and not about the job.
        """
        try:
            return question()
        except EngineError as error:
            if error.status in (NOT_FOUND, CONFLICT):
                return gone  # type: ignore[no-any-return]
            raise RunnerUnavailable(f"The container engine refused to answer: {error.explanation}.") from error

    def _try(self, container: Container, act: Callable[[], None]) -> None:
        """Do what a container that has just ended refuses; by what status, engines differ in."""
        try:
            self._asked(act)
        except RunnerUnavailable:
            seen = self._asked(lambda: self._engine.inspect(container.id))
            # Podman has a word more for what has ended and is not cleared up yet.
            if seen is not None and seen.state.status in (RUNNING, PAUSED):
                raise


def _handle(name: str, container_id: str) -> Handle:
    return Handle(LOCAL_CONTAINER, name, data={"id": container_id})


def _id_of(handle: Handle) -> str:
    return str(handle.data["id"])


def _status(record: EndRecord) -> Status:
    ended = JobState.FINISHED if record.result.code == 0 else JobState.FAILED
    state = JobState.STOPPED if record.stopped else ended
    return Status(state, record.result, record.result.message)
