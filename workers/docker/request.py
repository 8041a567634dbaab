"""What a job's arguments ask of a container engine, read and not yet judged."""

from typing import Any

import msgspec

#: Which rule of the policy decides about a flag. Flags that ask for nothing of the host have none.
BY_FLAG, NETWORKS, CAPABILITIES, USERS, VOLUMES, HOST_VARIABLES = (
    "flags",
    "networks",
    "capabilities",
    "users",
    "volumes",
    "host_variables",
)


class Ask(msgspec.Struct, frozen=True):
    """One thing of the host, by the flag that asks for it; ``rule`` is the key of the policy that may grant it."""

    flag: str
    value: str
    rule: str


class HostPath(msgspec.Struct, frozen=True):
    """A path of the host: as it was ``written``, and what it leads to, which is ``None`` where nothing is there."""

    written: str
    resolved: str | None = None


class Bind(msgspec.Struct, frozen=True):
    """A directory or file of the host in the container. ``relabel`` is ``z`` or ``Z`` (SELinux).

    ``has_mounts_below``: other file systems are mounted below it, which a read-only mount may leave writable.
    """

    flag: str
    source: HostPath
    target: str
    read_only: bool = False
    relabel: str = ""
    options: dict[str, Any] = {}
    has_mounts_below: bool = False


class Device(msgspec.Struct, frozen=True):
    """A device of the host in the container, with what the container may do with it (of ``rwm``)."""

    flag: str
    source: HostPath
    target: str
    permissions: str = "rwm"


class EnvFile(msgspec.Struct, frozen=True):
    """A file of the host with variables for the container."""

    source: HostPath


class ContainerRequest(msgspec.Struct, frozen=True):
    """What the arguments ask for.

    ``config`` is the body of the Engine API's request as far as it asks for nothing of the host's paths; ``variables``
    are ``NAME=VALUE``, or ``NAME`` for the host's value. ``pull`` and ``platform`` are about the image.
    """

    config: dict[str, Any] = {}
    asks: tuple[Ask, ...] = ()
    binds: tuple[Bind, ...] = ()
    devices: tuple[Device, ...] = ()
    env_files: tuple[EnvFile, ...] = ()
    variables: tuple[str, ...] = ()
    pull: str | None = None
    platform: str | None = None

    @property
    def network(self) -> str | None:
        """The network that is asked for."""
        mode: str | None = self.config.get("HostConfig", {}).get("NetworkMode")
        return mode
