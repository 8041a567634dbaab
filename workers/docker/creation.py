"""Creates a job's container: for its user, with its limits, under its name, and at most once."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ipc.agent_mark import agent_mark
from ipc.errors import RunnerUnavailable, SubmitError
from ipc.gpus import gpu_request
from ipc.policy_rules import ContainerLimits
from ipc.work_order import WorkOrder
from workers.docker import host_paths
from workers.docker.container import NAME_LABEL, Placement, container_config, needs_home_in_memory
from workers.docker.container_user import HOME, ContainerUser, container_user
from workers.docker.engine import CONFLICT, CREATED, Container, Engine, EngineError
from workers.docker.gpus import ContainerGpus, container_gpus
from workers.docker.granted import network_of
from workers.docker.health import calmed
from workers.docker.images import parse_image
from workers.docker.limits import with_disk
from workers.docker.mounted_project import with_project
from workers.docker.request import ContainerRequest
from workers.docker.stop_signals import USUAL_STOP_SIGNAL, is_signal
from workers.runners import LaunchRequest


def create_container(engine: Engine, order: WorkOrder, launch: LaunchRequest, request: ContainerRequest) -> Container:
    """Return the job's container, ready to be started: a new one, or what exists under its name.

    Raises:
        SubmitError: the engine refuses it, or the name is another container's.
        RunnerUnavailable: the engine does not answer.
    """
    placed = _placement(engine, order, request)
    image = str(parse_image(launch.build.image or ""))
    config = container_config(request, launch, order, placed) | {"Image": image}
    config = with_project(config, launch, order)
    limits = order.policy.containers.limits
    _create(engine, launch.name, config, request.platform, limits.disk)
    container = _own(engine, launch.name)
    if container.state.status == CREATED:
        changes = _changes(container, limits)
        if changes:
            container = _anew(engine, container, config | changes, request.platform, limits)
        _give_home(engine, container, config["HostConfig"], placed.user)
    return container


def _changes(container: Container, limits: ContainerLimits) -> dict[str, Any]:
    """Return what has to be other than in the container's image, whose settings the engine alone knows."""
    raised = calmed(container.config.healthcheck, limits.health_check_seconds)
    changes = {} if raised is None else {"Healthcheck": msgspec.to_builtins(raised)}
    # An engine sends no signal at all, but SIGKILL, to a container with a stop signal that there is not.
    return changes if is_signal(container.config.stop_signal) else changes | {"StopSignal": USUAL_STOP_SIGNAL}


def _anew(
    engine: Engine, container: Container, config: dict[str, Any], platform: str | None, limits: ContainerLimits
) -> Container:
    """Return the container made anew, with the changes to its image's settings in ``config``."""
    name = container.labels[NAME_LABEL]
    try:
        engine.remove(container.id)
    except EngineError as error:
        raise SubmitError(f"The job's container could not be made anew: {error.explanation}.") from error
    _create(engine, name, config, platform, limits.disk)
    made = _own(engine, name)
    if _changes(made, limits):
        discard(engine, made.id)
        raise SubmitError(
            "The image has its health checked more often than this host grants, or names a stop signal that there is"
            " not, and the container engine does not change that.",
            hint="Launch the job with the arguments no-healthcheck and stop-signal.",
        )
    return made


def discard(engine: Engine, container_id: str) -> None:
    """Remove a container that was not started; one that runs after all is left alone by the engine."""
    with suppress(EngineError):
        engine.remove(container_id)


def _placement(engine: Engine, order: WorkOrder, request: ContainerRequest) -> Placement:
    # A job's directory lies in that of all jobs, in the agent's own.
    state_dir = str(Path(order.directory).parent.parent)
    own = (os.geteuid(), os.getegid())
    return Placement(
        agent=agent_mark(state_dir),
        variables=host_paths.read_variables(request, os.environ),
        network=network_of(request, order),
        user=container_user(request, order.policy.containers, order.user, own),
        gpus=_gpus(engine, order),
        processors=None if order.policy.containers.limits.processors is None else engine.processors(),
    )


def _gpus(engine: Engine, order: WorkOrder) -> ContainerGpus | None:
    """Return what gives the job its GPUs alone; ``None`` where the agent gives out no GPUs."""
    if order.gpus is None:
        return None
    cdi_names = engine.cdi_names() if order.gpus else []
    return container_gpus(order.gpus, gpu_request(order.spec), cdi_names)


def _create(engine: Engine, name: str, config: dict[str, Any], platform: str | None, disk: int | None) -> None:
    """Create the container, its disk limited where the storage driver can; one that is there is no error."""
    host = config["HostConfig"]
    tried = [host] if disk is None or "StorageOpt" in host else [with_disk(host, disk), host]
    for number, settings in enumerate(tried, 1):
        try:
            engine.create(name, config | {"HostConfig": settings}, platform)
        except EngineError as error:
            # Podman says by no status of its own that the name is taken.
            if error.status == CONFLICT or engine.inspect(name) is not None:
                return
            if number == len(tried):
                raise SubmitError(
                    f"The container engine refused the job's container: {error.explanation}.", hint=_hint(config)
                ) from error
        else:
            return


def _hint(config: Mapping[str, Any]) -> str | None:
    names_command = "Entrypoint" in config or "Cmd" in config
    return None if names_command else "The job names no command: the image has to have one of its own."


def _own(engine: Engine, name: str) -> Container:
    container = engine.inspect(name)
    if container is None:
        raise RunnerUnavailable(f"The container {name} was removed while it was made.")
    if container.labels.get(NAME_LABEL) != name:
        raise SubmitError(
            f"This host has a container called {name} already, which is not the job's.",
            hint="Remove it, then launch the job again.",
        )
    return container


def _give_home(engine: Engine, container: Container, host: Mapping[str, Any], user: ContainerUser | None) -> None:
    if user is None or user.owner is None or needs_home_in_memory(host, user):
        return
    try:
        engine.make_directory(container.id, HOME, user.owner)
    except EngineError as error:
        discard(engine, container.id)
        raise SubmitError(f"The job's home could not be made in its container: {error.explanation}.") from error
