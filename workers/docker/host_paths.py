"""What the paths of a request lead to on this host, and the files with variables that it names.

Owns every look at the host's file system for a container. A path is followed once, to its end; what the policy judges
and what the engine is given is that end.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ipc.errors import InvalidSpec
from ipc.policy_rules import ContainerRules
from workers.docker.request import Bind, ContainerRequest, HostPath

#: The longest file of variables, in bytes.
MAX_ENV_FILE_BYTES = 1 << 20
#: Each of these makes a process that reaches it root on this host.
USUAL_SOCKETS = (
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/systemd/private",
)
_MOUNT_POINT = 4
_MOUNT_TABLE = Path("/proc/self/mountinfo")


def resolve(request: ContainerRequest) -> ContainerRequest:
    """Return ``request`` with each path of the host followed to its end."""
    mount_points = _mount_points() if request.binds else []
    return msgspec.structs.replace(
        request,
        binds=tuple(_resolved_bind(bind, mount_points) for bind in request.binds),
        devices=tuple(msgspec.structs.replace(one, source=_followed(one.source)) for one in request.devices),
        env_files=tuple(msgspec.structs.replace(one, source=_followed(one.source)) for one in request.env_files),
    )


def engine_sockets(own: str | None) -> tuple[str, ...]:
    """Return the sockets of this host by which a container engine is commanded, ``own`` the one in use."""
    return tuple(sorted({os.path.realpath(path) for path in (*USUAL_SOCKETS, *filter(None, (own,)))}))


def resolve_rules(rules: ContainerRules) -> ContainerRules:
    """Return ``rules`` with the paths that they grant followed to their ends, as far as they lead."""
    return msgspec.structs.replace(
        rules,
        mounts=tuple(_resolved_grant(text) for text in rules.mounts),
        env_files=tuple(os.path.realpath(path) for path in rules.env_files),
    )


def _resolved_grant(text: str) -> str:
    path, colon, mode = text.partition(":")
    return f"{os.path.realpath(path)}{colon}{mode}"


def _resolved_bind(bind: Bind, mount_points: list[str]) -> Bind:
    source = _followed(bind.source)
    below = f"{(source.resolved or '').rstrip('/')}/"
    has_mounts = any(point.startswith(below) and point != below for point in mount_points)
    return msgspec.structs.replace(bind, source=source, has_mounts_below=has_mounts)


def _followed(path: HostPath) -> HostPath:
    try:
        return HostPath(path.written, str(Path(path.written).resolve(strict=True)))
    except (OSError, RuntimeError):
        # A loop of links, or nothing that this process can see.
        return HostPath(path.written)


def _mount_points() -> list[str]:
    """Return where file systems are mounted; blanks in paths are escaped as octal numbers."""
    lines = _MOUNT_TABLE.read_text(errors="surrogateescape").splitlines()
    return [line.split(" ")[_MOUNT_POINT].replace("\\040", " ").replace("\\134", "\\") for line in lines]


def read_variables(request: ContainerRequest, host: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a request that the policy has granted: those of its files, then its own.

    ``host`` has the values of variables that are named alone; those that it lacks are left out, as by Docker.

    Raises:
        InvalidSpec: a file cannot be read, or is none of variables.
    """
    lines = [line for file in request.env_files for line in _lines_of(file.source)]
    found = {}
    for entry in (*lines, *request.variables):
        name, equals, value = entry.partition("=")
        if equals:
            found[name] = value
        elif name in host:
            found[name] = host[name]
    return found


def bare_names(request: ContainerRequest) -> Iterator[str]:
    """Yield the names of the host's variables that the request's files ask for."""
    for file in request.env_files:
        yield from (line for line in _lines_of(file.source) if "=" not in line)


def _open(path: str) -> int:
    """Open a file by a path that was followed to its end; a link that was put into it since then is an error."""
    *directories, name = path.strip("/").split("/")
    place = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for directory in directories:
            below = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            os.close(place)
            place = below
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    finally:
        os.close(place)


def _lines_of(path: HostPath) -> list[str]:
    """Return the lines of a file of variables that say something; it is at the end of the path, and no link."""
    try:
        descriptor = _open(path.resolved or path.written)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InvalidSpec(f"The env-file {path.written} is no file.")
            data = file.read(MAX_ENV_FILE_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise InvalidSpec(f"The env-file {path.written} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"The env-file {path.written} is no text in UTF-8.") from error
    if len(data) > MAX_ENV_FILE_BYTES:
        raise InvalidSpec(f"The env-file {path.written} has more than {MAX_ENV_FILE_BYTES} bytes.")
    lines = (line.lstrip() for line in text.removeprefix("\ufeff").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
