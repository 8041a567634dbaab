"""The container engine: whether it answers, what holds its containers, and what takes their GPUs away."""

from collections.abc import Iterator
from typing import Any

from ipc.engine_address import engine_address
from ipc.targets import LOCAL_CONTAINER
from launchd.doctor.asking import EngineAway, engine_info
from launchd.doctor.findings import Finding, fail, not_applicable, ok, warn
from launchd.doctor.host import Host

SILENCE = (
    "The container engine hangs, and with it all that asks it.",
    "`journalctl -u docker` and `systemctl restart docker`; with live-restore, containers run on.",
)

#: What there is on a host with NVIDIA's driver; the number of its control device, by which control groups know it.
_NVIDIA = "/proc/driver/nvidia"
_CONTROL_DEVICE = "/dev/char/195:255"

#: What the engine says of the limits that it can hold, and the setting that needs each.
_LIMITS = {"MemoryLimit": "memory", "CpuCfsQuota": "processors", "PidsLimit": "processes"}

_NOT_GRANTED = "No queue of this agent may ask for containers (launchd.policy.resources)."


def runs_containers(host: Host) -> bool:
    """Return whether jobs may be containers of this host's engine."""
    return any(target.name == LOCAL_CONTAINER for target in host.targets())


def info_of(host: Host) -> dict[str, Any]:
    """Return what the engine says of itself; raises as :func:`~launchd.doctor.asking.engine_info`."""
    return engine_info(engine_address(host.config.launchd.docker.host, host.environ))


def check_engine(host: Host) -> Iterator[Finding]:
    """Ask the engine of this host for itself."""
    if not runs_containers(host):
        yield not_applicable(_NOT_GRANTED)
        return
    try:
        info = info_of(host)
    except PermissionError as error:
        yield fail(
            f"The socket of the container engine is closed to this user: {error.strerror}.",
            "The agent cannot start containers as this user.",
            "Run agent and doctor as root, or add the user to the group docker, which makes it as good as root.",
        )
        return
    except EngineAway as error:
        yield fail(
            str(error),
            "Jobs that are containers wait, and then fail.",
            "Start it (`systemctl start docker`), or correct launchd.docker.host.",
        )
        return
    yield ok(f"{_name(info)} answers, with the control group driver {_driver(info)} (version {_version(info)}).")
    yield from _limits(info)


def _limits(info: dict[str, Any]) -> Iterator[Finding]:
    unheld = [name for key, name in _LIMITS.items() if info.get(key) is False]
    if _driver(info) == "none" or unheld:
        yield warn(
            f"The engine holds no limits of {', '.join(unheld) or 'any kind'} (control group driver {_driver(info)}).",
            "A container may take the whole host, in spite of its job and the policy.",
            "Boot with control groups of version 2 (systemd.unified_cgroup_hierarchy=1), or run the engine as root.",
        )


def check_daemon_reload(host: Host) -> Iterator[Finding]:
    """Look whether `systemctl daemon-reload` takes the GPUs of running containers away."""
    if not runs_containers(host) or not host.file(_NVIDIA).exists():
        yield not_applicable("There are no containers with NVIDIA's GPUs here.")
        return
    try:
        info = info_of(host)
    except (OSError, EngineAway):
        yield not_applicable("The container engine does not answer.")
        return
    if _driver(info) != "systemd":
        yield ok(f"The engine's control groups are not systemd's (driver {_driver(info)}): a reload changes nothing.")
    elif info.get("CDISpecDirs"):
        yield ok("The engine knows devices by CDI: containers have them in their description, and keep them.")
    elif host.file(_CONTROL_DEVICE).exists():
        yield ok("systemd knows the GPUs by their numbers (/dev/char): containers keep them at a reload.")
    else:
        yield warn(
            "systemd does not know the GPUs that the engine gives to containers.",
            "With each `systemctl daemon-reload`, so with each installation of a package that has a unit, running "
            'containers lose their GPUs: NVML\'s "Unknown Error" (nvidia-container-toolkit#48).',
            "Make the links at each boot (`nvidia-ctk system create-dev-char-symlinks --create-all`), use CDI, or the "
            "driver cgroupfs (native.cgroupdriver in Docker's daemon.json). Until then, drain before upgrades.",
        )


def _name(info: dict[str, Any]) -> str:
    return f"The container engine {info.get('ServerVersion') or 'of an unknown version'}"


def _driver(info: dict[str, Any]) -> str:
    return str(info.get("CgroupDriver") or "unknown")


def _version(info: dict[str, Any]) -> str:
    return str(info.get("CgroupVersion") or "1")
