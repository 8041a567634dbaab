"""The body of the Engine API's request that creates a job's container. Pure."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import msgspec

from ipc.policy_rules import ContainerRules
from ipc.work_order import WorkOrder
from workers.docker import limits
from workers.docker.container_user import HOME, ContainerUser
from workers.docker.flag_actions import LABEL_PREFIX
from workers.docker.gpus import ContainerGpus
from workers.docker.request import Bind, ContainerRequest, Device
from workers.gpus.variables import VOID
from workers.runners import LaunchRequest

#: A container with this label is the job's of this workload name.
NAME_LABEL = f"{LABEL_PREFIX}name"
#: The mark of the agent; see ``ipc.agent_mark``.
AGENT_LABEL = f"{LABEL_PREFIX}agent"
ITEM_LABEL = f"{LABEL_PREFIX}item"
QUEUE_LABEL = f"{LABEL_PREFIX}queue"
#: W&B's label, of its Kubernetes runner.
RUN_LABEL = "wandb.ai/run-id"

HOST_NETWORK = "host"
#: A name by which a container on the host's network reaches the host, as with W&B's agent.
HOST_GATEWAY = "host.docker.internal:host-gateway"

#: The engine keeps more of the output than the job's files do: what they drop, they drop by themselves.
LOG_FILES_FACTOR = 2

NO_NEW_PRIVILEGES = "no-new-privileges"

#: Set last: a container that was given no GPU sees none, also where its image asks for all.
NO_GPUS = {"NVIDIA_VISIBLE_DEVICES": VOID}

#: By this label the lease of the job's GPUs can be told from outside.
LEASE_LABEL = f"{LABEL_PREFIX}gpu-lease"


class Placement(msgspec.Struct, frozen=True):
    """What a container has beside what its job asks for.

    ``variables`` are the job's own, which win over those of its launch; ``network`` and ``user`` are None for the
    engine's default and the image's own; ``agent`` is the mark of the agent. ``gpus`` is None where the agent gives
    out no GPUs. ``processors`` is how many the engine's host has, None where that is not known.
    """

    agent: str
    variables: Mapping[str, str] = {}
    network: str | None = None
    user: ContainerUser | None = None
    gpus: ContainerGpus | None = None
    processors: int | None = None


def container_config(
    request: ContainerRequest, launch: LaunchRequest, order: WorkOrder, placed: Placement
) -> dict[str, Any]:
    """Return the body for the job of ``order``."""
    config = deepcopy(request.config)
    config["Image"] = launch.build.image
    environment = _environment(request, launch, placed) | (placed.gpus.variables if placed.gpus else {})
    config["Env"] = [f"{name}={text}" for name, text in environment.items()]
    config["Labels"] = config.get("Labels", {}) | _labels(order, placed.agent)
    if placed.user is not None:
        config["User"] = placed.user.text
    if launch.entry_point:
        config["Entrypoint"] = list(launch.entry_point)
    if launch.args:
        config["Cmd"] = list(launch.args)
    config["HostConfig"] = _host_config(request, config.get("HostConfig", {}), order, placed)
    if placed.gpus is not None:
        _add_gpus(config["HostConfig"], placed.gpus)
    return config


def _environment(request: ContainerRequest, launch: LaunchRequest, placed: Placement) -> dict[str, str]:
    home = {"HOME": HOME} if placed.user is not None and placed.user.owner is not None else {}
    # An administrator who grants a runtime has it see to the GPUs.
    last = {} if "Runtime" in request.config.get("HostConfig", {}) else NO_GPUS
    return {**home, **launch.environment, **placed.variables, **last}


def _add_gpus(host: dict[str, Any], gpus: ContainerGpus) -> None:
    _extend(host, "DeviceRequests", gpus.device_requests)
    _extend(host, "Devices", gpus.devices)
    if gpus.processors is not None:
        host.setdefault("CpusetCpus", gpus.processors)


def _labels(order: WorkOrder, agent: str) -> dict[str, str]:
    lease = {} if order.gpu_lease is None else {LEASE_LABEL: str(order.gpu_lease)}
    return lease | {
        NAME_LABEL: order.name,
        ITEM_LABEL: order.item_id,
        QUEUE_LABEL: order.queue,
        AGENT_LABEL: agent,
        RUN_LABEL: order.spec.run_id,
    }


def _host_config(
    request: ContainerRequest, host: dict[str, Any], order: WorkOrder, placed: Placement
) -> dict[str, Any]:
    # A shell as process 1 would not hear SIGTERM.
    host.setdefault("Init", True)
    host["LogConfig"] = {
        "Type": "json-file",
        "Config": {
            "max-size": str(order.jobs.output_max_bytes),
            "max-file": str(LOG_FILES_FACTOR * order.jobs.output_files),
        },
    }
    _extend(host, "Mounts", [_mount(bind) for bind in request.binds if not bind.relabel])
    _extend(host, "Binds", [_relabelled(bind) for bind in request.binds if bind.relabel])
    _extend(host, "Devices", [_device(device) for device in request.devices])
    if placed.network is not None:
        host["NetworkMode"] = placed.network
    if placed.network == HOST_NETWORK:
        _extend(host, "ExtraHosts", [HOST_GATEWAY])
    return _restricted(host, order.policy.containers, placed)


def _restricted(host: dict[str, Any], rules: ContainerRules, placed: Placement) -> dict[str, Any]:
    user = placed.user
    if rules.no_new_privileges:
        _extend(host, "SecurityOpt", [NO_NEW_PRIVILEGES])
    if needs_home_in_memory(host, user):
        uid, gid = user.owner if user and user.owner else (0, 0)
        host["Tmpfs"] = {**host.get("Tmpfs", {}), HOME: f"uid={uid},gid={gid},mode=0700"}
    return limits.with_limits(host, rules.limits, placed.processors)


def needs_home_in_memory(host: Mapping[str, Any], user: ContainerUser | None) -> bool:
    """Return whether the home of a container's user has to lie in memory: where its file system cannot be written."""
    return user is not None and user.owner is not None and bool(host.get("ReadonlyRootfs"))


def _extend(host: dict[str, Any], field: str, more: list[Any]) -> None:
    if more:
        host[field] = [*host.get(field, ()), *more]


def _mount(bind: Bind) -> dict[str, Any]:
    """Return an entry of ``Mounts``: the engine makes no directory of the host for it, as it would for ``Binds``."""
    return {
        "Type": "bind",
        "Source": bind.source.resolved,
        "Target": bind.target,
        "ReadOnly": bind.read_only,
        "BindOptions": {"Propagation": "rprivate", **bind.options},
    }


def _relabelled(bind: Bind) -> str:
    """Return an entry of ``Binds``, the only place where the engine takes SELinux's labels."""
    return f"{bind.source.resolved}:{bind.target}:{'ro' if bind.read_only else 'rw'},{bind.relabel}"


def _device(device: Device) -> dict[str, Any]:
    return {
        "PathOnHost": device.source.resolved,
        "PathInContainer": device.target,
        "CgroupPermissions": device.permissions,
    }
