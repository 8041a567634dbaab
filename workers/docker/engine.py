"""The client of a container engine that speaks Docker's Engine API: Docker itself, or podman's service.

Owns the connection, the translation of errors (by type or status code, never by text) and the few fields of the
engine's answers that are read. Decides nothing about a job.
"""

import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import requests
import urllib3
from docker import APIClient
from docker.errors import APIError, DockerException

from ipc.errors import RunnerUnavailable
from workers.processes import ProcessKey, key_of

#: How long the engine may take for an answer, in seconds; what streams, or waits for a container, has no limit.
ANSWER_SECONDS = 60.0
#: How long a connection may take.
CONNECT_SECONDS = 10.0

#: The engine's address by its own clients' convention.
HOST_VARIABLE = "DOCKER_HOST"
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"

#: What the engine calls a container that was not started.
CREATED = "created"
#: What it calls one that does not run any more.
ENDED = frozenset({"exited", "dead", "removing"})

CONFLICT = 409
NOT_FOUND = 404
_BROKEN = 500

#: Before each piece of multiplexed output: a byte for the stream, three of nothing, and how many bytes follow.
_FRAME = struct.Struct(">xxxxL")

#: What a connection that fails, or ends in the middle of an answer, raises.
_CONNECTION_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)

#: What the kernel says of the other side of a unix socket: process, user, group.
_PEER = struct.Struct("3i")


class EngineError(Exception):
    """The engine's refusal: ``status`` is HTTP's, ``explanation`` the engine's own text, for people."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"{status}: {explanation}")
        self.status = status
        self.explanation = explanation

    @property
    def is_broken(self) -> bool:
        """Whether the engine failed at it, so that the same question may be answered later."""
        return self.status >= _BROKEN


class EngineForbidden(RunnerUnavailable):
    """This process may not use the engine's socket; only the administrator can change that."""


class ContainerState(msgspec.Struct, frozen=True, rename="pascal"):
    """``State`` of a container. ``status`` is one of Docker's seven words; times are RFC 3339 texts."""

    status: str = ""
    exit_code: int = 0
    oom_killed: bool = msgspec.field(default=False, name="OOMKilled")
    error: str = ""


class ContainerConfig(msgspec.Struct, frozen=True, rename="pascal"):
    """``Config`` of a container, as far as it is read."""

    stop_signal: str | None = None
    labels: dict[str, str] | None = None
    tty: bool = False


class HostSettings(msgspec.Struct, frozen=True, rename="pascal"):
    """``HostConfig`` of a container, as far as it is read; ``memory`` is in bytes, 0 for no limit."""

    memory: int = 0


class Container(msgspec.Struct, frozen=True, rename="pascal"):
    """A container as the engine describes it."""

    id: str
    state: ContainerState = ContainerState()
    config: ContainerConfig = ContainerConfig()
    host: HostSettings = msgspec.field(default=HostSettings(), name="HostConfig")

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return self.config.labels or {}


class Image(msgspec.Struct, frozen=True, rename="pascal"):
    """An image of the engine; without ``repo_digests`` it was neither pulled nor pushed."""

    id: str
    repo_digests: list[str] | None = None


class Engine:
    """One engine, by its address. A connection is made when it is first needed; not to be shared between threads."""

    def __init__(self, address: str | None = None) -> None:
        self.address = address or os.environ.get(HOST_VARIABLE) or DEFAULT_ADDRESS
        self._connected: APIClient | None = None

    @property
    def socket_path(self) -> str | None:
        """The path of its unix socket, or ``None`` for an engine elsewhere."""
        scheme, _, path = self.address.partition("://")
        return path if scheme == "unix" else None

    def process(self) -> ProcessKey | None:
        """Return the process that listens at the socket; ``None`` where that is not the engine, or is elsewhere.

        Raises:
            RunnerUnavailable: nothing listens there.
        """
        if self.socket_path is None:
            return None
        try:
            with closing(_connected(self.socket_path)) as connection:
                peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        except OSError as error:
            raise RunnerUnavailable(f"The container engine at {self.address} does not answer: {error}.") from error
        pid, _, _ = _PEER.unpack(peer)
        # A service manager that listens for the engine says nothing about it.
        return key_of(pid) if pid > 1 else None

    @property
    def api_version(self) -> tuple[int, ...]:
        """The version of the Engine API that is spoken with it."""
        with self._answering():
            return tuple(int(part) for part in str(self._client().api_version).split("."))

    def inspect(self, container: str) -> Container | None:
        """Return the container with this id or name, or ``None`` where there is none."""
        try:
            with self._answering():
                return msgspec.convert(self._client().inspect_container(container), Container)
        except EngineError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def cdi_names(self) -> list[str]:
        """Return the names of the devices that the engine knows by the Container Device Interface (CDI)."""
        with self._answering():
            discovered = self._client().info().get("DiscoveredDevices") or ()
        return [str(device.get("ID")) for device in discovered if device.get("Source") == "cdi"]

    def create(self, name: str, config: Mapping[str, Any], platform: str | None = None) -> str:
        """Create a container and return its id."""
        with self._answering():
            created = self._client().create_container_from_config(dict(config), name, platform)
            return str(created["Id"])

    def start(self, container: str) -> None:
        """Start a container that was created; one that runs stays as it is."""
        with self._answering():
            self._client().start(container)

    def kill(self, container: str, signal: str) -> None:
        """Send a signal to the main process of a container."""
        with self._answering():
            self._client().kill(container, signal)

    def unpause(self, container: str) -> None:
        """Let a paused container go on."""
        with self._answering():
            self._client().unpause(container)

    def remove(self, container: str, *, force: bool = False) -> None:
        """Remove a container with its anonymous volumes; ``force`` kills it before."""
        with self._answering():
            self._client().remove_container(container, v=True, force=force)

    def wait(self, container: str) -> None:
        """Return when the container does not run (any more)."""
        with self._answering():
            self._client().wait(container, timeout=None)

    def image(self, reference: str) -> Image | None:
        """Return the image that the engine has under ``reference``, or ``None``."""
        try:
            with self._answering():
                return msgspec.convert(self._client().inspect_image(reference), Image)
        except EngineError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def pull(self, reference: str, platform: str | None) -> Iterator[dict[str, Any]]:
        """Pull an image; yields the engine's events as they come, the last one with ``error`` where it fails."""
        with self._answering():
            yield from self._client().pull(reference, stream=True, decode=True, platform=platform)

    def output(self, container: str, *, follow: bool, tail: int | None = None) -> Iterator[bytes]:
        """Yield the container's output, an entry at a time, each with its time before it: ``TIME SPACE TEXT``.

        From its beginning, or the last ``tail`` entries. An entry is one line, or a piece of a long one.
        """
        asked = {"timestamps": 1, "follow": int(follow)} | ({} if tail is None else {"tail": tail})
        with self._answering(), self._log(container, asked) as answer:
            yield from _frames(answer.iter_content(chunk_size=None))

    def terminal_output(self, container: str, *, follow: bool) -> Iterator[bytes]:
        """Yield the output of a container with a terminal from its beginning, in pieces as they come."""
        with self._answering(), self._log(container, {"follow": int(follow)}) as answer:
            yield from answer.iter_content(chunk_size=None)

    def close(self) -> None:
        """Close the connection."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def _log(self, container: str, asked: Mapping[str, int]) -> requests.Response:
        client = self._client()
        answer: requests.Response = client.get(
            f"{client.base_url}/v{client.api_version}/containers/{container}/logs",
            params={"stdout": 1, "stderr": 1, **asked},
            stream=True,
            timeout=(CONNECT_SECONDS, None),
        )
        if not answer.ok:
            with answer:
                raise EngineError(answer.status_code, answer.text.strip())
        return answer

    def _client(self) -> APIClient:
        if self.socket_path is not None:
            _knock(self.socket_path)
        if self._connected is None:
            # Asked for its version: recent engines refuse old ones.
            self._connected = APIClient(base_url=self.address, version="auto", timeout=ANSWER_SECONDS)
        return self._connected

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Translate what the SDK raises.

        Raises:
            EngineError: the engine answered, and refused.
            RunnerUnavailable: it did not answer, or not to the end.
            EngineForbidden: this process may not use its socket.
        """
        try:
            yield
        except APIError as error:
            raise EngineError(int(error.status_code or _BROKEN), str(error.explanation or error)) from error
        except PermissionError as error:
            raise EngineForbidden(
                f"The agent's user may not use the container engine at {self.address}.",
                hint="The administrator adds the user to the group of the engine's socket (docker, usually).",
            ) from error
        except (DockerException, *_CONNECTION_ERRORS) as error:
            raise RunnerUnavailable(f"The container engine at {self.address} does not answer.") from error


def _frames(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the frames of multiplexed output hold; raises :class:`OSError` where the last one is not whole."""
    rest = b""
    for piece in pieces:
        data = rest + piece if rest else piece
        start, end = 0, len(data)
        while end - start >= _FRAME.size:
            (size,) = _FRAME.unpack_from(data, start)
            if end - start - _FRAME.size < size:
                break
            start += _FRAME.size + size
            yield data[start - size : start]
        rest = data[start:]
    if rest:
        raise OSError("the engine's answer ended in the middle")


def _knock(path: str) -> None:
    """Raise :class:`OSError` where nothing listens at a socket, or this process may not.

    The SDK wraps the reason out of sight, and leaves a socket of its own open.
    """
    _connected(path).close()


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(CONNECT_SECONDS)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection
