"""Runs a job as a container of this host's engine: Docker, or podman's service.

The container outlives worker and supervisor; the engine knows it by the workload name. Everything else about a job is
read from the engine or from the job's directory, so any worker can take a job over at any time.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ipc.boot_clock import BootClock
from ipc.errors import InvalidSpec, PolicyRefused, RunnerUnavailable, SourceError, SubmitError
from ipc.gpus import gpu_request
from ipc.handles import ExitResult, Handle
from ipc.states import JobState
from ipc.targets import LOCAL_CONTAINER
from ipc.work_order import WorkOrder
from workers.context import JobContext
from workers.docker import host_paths, policy, records
from workers.docker.container import NAME_LABEL, container_config
from workers.docker.end_result import exit_result
from workers.docker.end_watch import EndWatch
from workers.docker.engine import CONFLICT, CREATED, ENDED, NOT_FOUND, Container, Engine, EngineError, EngineForbidden
from workers.docker.flags import translate
from workers.docker.gpus import ContainerGpus, container_gpus
from workers.docker.images import ImageName, parse_image
from workers.docker.macros import fill
from workers.docker.output import LogCopy
from workers.docker.pull import PullFailed, missing, pull
from workers.docker.records import EndRecord, StartRecord, StopRecord
from workers.docker.request import ContainerRequest
from workers.output import OutputWriter
from workers.runners import Capabilities, LaunchRequest, Runner, Status

T = TypeVar("T")

PAUSED = "paused"
DEFAULT_STOP_SIGNAL = "SIGTERM"
#: How often an engine that does not answer is asked again before a job has started, in seconds.
RETRY_SECONDS = 2.0
#: Between two looks at a log whose end is not the container's.
LOG_PAUSE_SECONDS = 0.5

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class LocalContainerRunner(Runner):
    """The resource ``local-container``. Its arguments are flags of `docker run`; see ``workers.docker.flags``."""

    capabilities = Capabilities(poll_seconds=5.0, keeps_output=True, runs_images=True)

    def __init__(self, order: WorkOrder, clock: BootClock | None = None) -> None:
        super().__init__(order)
        self._directory = Path(order.directory)
        self._clock = clock or BootClock()
        self._engine = Engine(order.docker.host)
        # On a full disk a stop is noted nowhere else.
        self._stop: StopRecord | None = None
        self._ends = EndWatch(self._engine.address)

    def validate(self) -> None:
        """Raise :class:`InvalidSpec` or :class:`PolicyRefused` for what the job may not have; reads the arguments."""
        image = self._order.spec.docker_image
        if image:
            self._granted_image(image)
        self._granted_request(image or "")
        asked = gpu_request(self._order.spec)
        if asked is not None and not self._order.gpus:
            raise InvalidSpec(f"The job asks for {asked.words()}, and the agent of this host has given it none.")

    # -- what is asked for, and granted

    def _granted_image(self, text: str) -> ImageName:
        image = parse_image(text)
        refusal = policy.refuse_image(image, self._order.policy.containers)
        if refusal is not None:
            raise PolicyRefused(refusal)
        return image

    def _granted_request(self, image: str) -> ContainerRequest:
        """Return what the job asks for, with paths as they are at this moment; raises for what is not granted."""
        rules = host_paths.resolve_rules(self._order.policy.containers)
        args = self._order.spec.resource_args.get(LOCAL_CONTAINER)
        request = host_paths.resolve(translate(fill(args, self._order.spec, image, rules.host_variables)))
        refused = policy.refusals(request, rules, self._facts())
        if not refused:
            names = host_paths.bare_names(request)
            refused = [text for name in names if (text := policy.refuse_variable(name, rules)) is not None]
        if refused:
            raise PolicyRefused(" ".join(refused))
        return request

    def _facts(self) -> policy.Facts:
        return policy.Facts(
            engine_sockets=host_paths.engine_sockets(self._engine.socket_path),
            agent_directories=(os.path.realpath(self._directory.parent.parent),),
        )

    # -- before anything exists

    def fetch_image(self, image: str, context: JobContext) -> None:
        """Have the engine pull the image, unless it has what is asked for."""
        name = self._granted_image(image)
        request = self._granted_request(image)
        self._warn_of_loopback(request, context)
        self._patiently(lambda: self._bring(name, request, context), context)

    def _bring(self, name: ImageName, request: ContainerRequest, context: JobContext) -> None:
        present = self._engine.image(str(name))
        wanted = request.pull or "always"
        if wanted == "never" and present is None:
            raise missing(name)
        # An image without a digest of a repository was made here: there is nowhere to pull it from.
        is_settled = wanted != "always" or name.is_pinned or not (present and present.repo_digests)
        if present is not None and is_settled:
            return
        context.progress(f"pulling {name}")
        try:
            pull(self._engine, name, request.platform, context, self._order.docker.pull_no_progress_seconds)
        except PullFailed as error:
            if present is None:
                raise SourceError(str(error), hint="Check its name, and whether this host may pull it.") from error
            context.warn(f"{error} The job runs the image that this host has.", "agent")

    def _warn_of_loopback(self, request: ContainerRequest, context: JobContext) -> None:
        if _is_loopback(self._order.base_url) and self._network(request) != "host":
            context.warn(
                f"The queue server {self._order.base_url} is reached from a container on the host's own network alone,"
                " which launchd.policy.containers.networks does not grant: the job cannot report to it.",
                "agent",
            )

    def _network(self, request: ContainerRequest) -> str | None:
        """Return the job's network: for a server on the loopback interface the host's (W&B's rule), where granted."""
        is_granted = "host" in self._order.policy.containers.networks
        if request.network is None and is_granted and _is_loopback(self._order.base_url):
            return "host"
        return request.network

    def _patiently(self, act: Callable[[], None], context: JobContext) -> None:
        """Do what needs the engine, and wait for an engine that does not answer, for a time."""
        deadline = time.monotonic() + self._order.docker.unavailable_seconds
        while True:
            try:
                return act()
            except EngineForbidden:
                raise
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
        container = self._create_or_adopt(launch)
        if container.state.status == CREATED:
            self._start(launch.name, container.id)
        return _handle(launch.name, container.id)

    def _create_or_adopt(self, launch: LaunchRequest) -> Container:
        request = self._granted_request(launch.build.image or "")
        variables = host_paths.read_variables(request, os.environ)
        image = str(parse_image(launch.build.image or ""))
        network, gpus = self._network(request), self._gpus()
        config = container_config(request, launch, self._order, variables, network, gpus) | {"Image": image}
        try:
            self._engine.create(launch.name, config, request.platform)
        except EngineError as error:
            if error.status != CONFLICT:
                raise SubmitError(f"The container engine refused the job's container: {error.explanation}.") from error
        container = self._engine.inspect(launch.name)
        if container is None:
            raise RunnerUnavailable(f"The container {launch.name} was removed while it was made.")
        if container.labels.get(NAME_LABEL) != launch.name:
            raise SubmitError(
                f"This host has a container called {launch.name} already, which is not the job's.",
                hint="Remove it, then launch the job again.",
            )
        return container

    def _gpus(self) -> ContainerGpus | None:
        """Return what gives the job its GPUs alone; ``None`` where the agent gives out no GPUs."""
        gpus = self._order.gpus
        if gpus is None:
            return None
        cdi_names = self._engine.cdi_names() if gpus else []
        return container_gpus(gpus, gpu_request(self._order.spec), cdi_names)

    def _start(self, name: str, container_id: str) -> None:
        records.write_start(self._directory, StartRecord(self._engine.process()))
        try:
            self._engine.start(container_id)
        except EngineError as error:
            seen = self._engine.inspect(container_id)
            if seen is not None and seen.state.status != CREATED:
                return
            self._discard(container_id)
            raise SubmitError(f"The container {name} could not be started: {error.explanation}.") from error

    def find(self, name: str) -> Handle | None:
        """Return the handle of the job's container; one that was never started is removed, and counts for nothing.

        An engine that was killed may have forgotten a start, so what it was asked to start counts.
        """
        ended = records.read_end(self._directory)
        if ended is not None:
            return _handle(name, ended.container)
        container = self._own(name)
        if container is not None and container.state.status == CREATED and not self._is_start_forgotten():
            self._discard(container.id)
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

    def _discard(self, container_id: str) -> None:
        """Remove a container that was not started; one that runs after all is left alone by the engine."""
        with suppress(EngineError):
            self._engine.remove(container_id)

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
        stop = self._stop_record()
        if stop is not None:
            self._enforce(stop, container)
            return Status(JobState.STOPPING)
        message = "the container is paused" if container.state.status == PAUSED else None
        return Status(JobState.RUNNING, message=message)

    def _end_of(self, container: Container) -> EndRecord:
        return EndRecord(container.id, exit_result(container), stopped=self._stop_record() is not None)

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
            self._try(lambda: self._engine.unpause(container.id))
        self._try(lambda: self._engine.kill(container.id, container.config.stop_signal or DEFAULT_STOP_SIGNAL))
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
            self._try(lambda: self._engine.kill(container.id, signal.SIGKILL.name))
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
        container = self._asked(lambda: self._engine.inspect(_id_of(handle)))
        if container is None:
            return
        if records.read_end(self._directory) is None:
            records.write_end(self._directory, self._end_of(container))
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

    def _try(self, act: Callable[[], None]) -> None:
        """Do what a container that has just ended refuses."""
        self._asked(act)


def _handle(name: str, container_id: str) -> Handle:
    return Handle(LOCAL_CONTAINER, name, data={"id": container_id})


def _id_of(handle: Handle) -> str:
    return str(handle.data["id"])


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK


def _status(record: EndRecord) -> Status:
    ended = JobState.FINISHED if record.result.code == 0 else JobState.FAILED
    state = JobState.STOPPED if record.stopped else ended
    return Status(state, record.result, record.result.message)
