"""The client of a container engine that speaks Docker's Engine API: Docker itself, or podman's service.

Owns the connection, the translation of errors (by type or status code, never by text) and the few fields of the
engine's answers that are read. Decides nothing about a job.
"""

import io
import json
import netrc  # noqa: F401 - loaded by requests with the first request, where each worker would have it by itself
import os
import re
import socket
import struct
import tarfile
import time
from base64 import b64decode
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import requests
import urllib3
from docker import APIClient
from docker.errors import APIError, DockerException

from ipc.engine_address import engine_address
from ipc.errors import RunnerUnavailable
from workers.docker.health import HealthCheck
from workers.docker.log_frames import frames
from workers.docker.unix_http import Refused, UnixHttp, connected, words_of
from workers.processes import ProcessKey, key_of

#: How long the engine may take for an answer, in seconds; what streams, or waits for a container, has no limit.
ANSWER_SECONDS = 60.0
#: How long it may take where it has to walk through all that a container has written.
WALK_SECONDS = 1800.0
#: How long a connection may take.
CONNECT_SECONDS = 10.0

#: Between two looks whether a command in a container has ended, in seconds.
_EXEC_PAUSE_SECONDS = 0.1

#: No parameters.
NOTHING: Mapping[str, Any] = {}

#: What the engine calls a container that was not started.
CREATED = "created"
#: What it calls one that does not run any more.
ENDED = frozenset({"exited", "dead", "removing"})

CONFLICT = 409
NOT_FOUND = 404
_BROKEN = 500

#: Says what a file in a container is, as JSON in base64.
_FILE_HEADER = "X-Docker-Container-Path-Stat"

#: What engines call a volume that nothing names.
_NEW_VOLUME = re.compile(r"[0-9a-f]{64}")

#: What a connection that fails, or ends in the middle of an answer, raises.
_CONNECTION_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError)

#: What the kernel says of the other side of a unix socket: process, user, group.
_PEER = struct.Struct("3i")


class EngineError(Exception):
    """The engine's refusal: ``status`` is HTTP's, ``explanation`` the engine's own text, for people."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"{status}: {explanation}")
        self.status = status
        self.explanation = explanation


class EngineForbidden(RunnerUnavailable):
    """This process may not use the engine's socket; only the administrator can change that."""


class ContainerState(msgspec.Struct, frozen=True, rename="pascal"):
    """``State`` of a container. ``status`` is one of Docker's seven words; ``pid`` is 0 where no process runs."""

    status: str = ""
    exit_code: int = 0
    oom_killed: bool = msgspec.field(default=False, name="OOMKilled")
    error: str = ""
    started_at: str = ""
    finished_at: str = ""
    pid: int = 0


class ContainerConfig(msgspec.Struct, frozen=True, rename="pascal"):
    """``Config`` of a container or an image, as far as it is read."""

    stop_signal: str | None = None
    labels: dict[str, str] | None = None
    tty: bool = False
    healthcheck: HealthCheck | None = None
    on_build: list[str] | None = None


class HostSettings(msgspec.Struct, frozen=True, rename="pascal"):
    """``HostConfig`` of a container, as far as it is read; sizes are in bytes, a ``memory`` of 0 is no limit."""

    memory: int = 0
    shm_size: int = 0
    storage_opt: dict[str, str] | None = None


class MountPoint(msgspec.Struct, frozen=True, rename="pascal"):
    """What is mounted in a container, at ``destination``; ``name`` is that of a volume."""

    type: str = ""
    name: str = ""
    destination: str = ""


class Container(msgspec.Struct, frozen=True, rename="pascal"):
    """A container as the engine describes it."""

    id: str
    state: ContainerState = ContainerState()
    config: ContainerConfig = ContainerConfig()
    host: HostSettings = msgspec.field(default=HostSettings(), name="HostConfig")
    mounts: tuple[MountPoint, ...] | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return self.config.labels or {}

    @property
    def own_volumes(self) -> frozenset[str]:
        """The volumes that were made for it, and go with it."""
        names = (mount.name for mount in self.mounts or () if mount.type == "volume")
        return frozenset(name for name in names if _NEW_VOLUME.fullmatch(name))


class Image(msgspec.Struct, frozen=True, rename="pascal"):
    """An image of the engine; without ``repo_digests`` it was neither pulled nor pushed. Sizes are in bytes.

    ``settings_bytes`` is that of its variables, labels, ports and the like.
    """

    id: str
    repo_digests: list[str] | None = None
    repo_tags: list[str] | None = None
    size: int = 0
    architecture: str = ""
    settings_bytes: int = 0
    config: ContainerConfig | None = None


class ListedContainer(msgspec.Struct, frozen=True, rename="pascal"):
    """A container in the engine's list; ``image_id`` is that of its image, ``state`` one of Docker's words."""

    id: str
    image_id: str = msgspec.field(default="", name="ImageID")
    state: str = ""
    labels: dict[str, str] | None = None
    size_rw: int = 0


class Engine:
    """One engine, by its address. A connection is made when it is first needed; not to be shared between threads."""

    def __init__(self, address: str | None = None) -> None:
        self.address = engine_address(address, os.environ)
        self._connected: APIClient | None = None
        self._api_version: str | None = None

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
            with closing(connected(self.socket_path, CONNECT_SECONDS)) as connection:
                peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        except OSError as error:
            raise RunnerUnavailable(f"The container engine at {self.address} does not answer: {error}.") from error
        pid, _, _ = _PEER.unpack(peer)
        # A service manager that listens for the engine says nothing about it.
        return key_of(pid) if pid > 1 else None

    def inspect(self, container: str) -> Container | None:
        """Return the container with this id or name, or ``None`` where there is none."""
        try:
            return msgspec.convert(self._ask("GET", f"/containers/{_named(container)}/json"), Container)
        except EngineError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def architecture(self) -> str:
        """Return the architecture of the engine's host, such as ``amd64``; empty where it says none."""
        return str(self._ask("GET", "/version").get("Arch") or "")

    def processors(self) -> int | None:
        """Return how many processors the engine's host has; ``None`` where it does not say."""
        if self.socket_path is not None:
            return os.cpu_count()
        return self._ask("GET", "/info").get("NCPU") or None

    def cdi_names(self) -> list[str]:
        """Return the names of the devices that the engine knows by the Container Device Interface (CDI)."""
        discovered = self._ask("GET", "/info").get("DiscoveredDevices") or ()
        return [str(device.get("ID")) for device in discovered if device.get("Source") == "cdi"]

    def create(self, name: str, config: Mapping[str, Any], platform: str | None = None) -> str:
        """Create a container and return its id."""
        params = {"name": name} | ({} if platform is None else {"platform": platform})
        created: dict[str, Any] = self._ask("POST", "/containers/create", params, dict(config))
        return str(created["Id"])

    def start(self, container: str) -> None:
        """Start a container that was created; one that runs stays as it is."""
        self._ask("POST", f"/containers/{_named(container)}/start")

    def kill(self, container: str, signal: str) -> None:
        """Send a signal to the main process of a container."""
        self._ask("POST", f"/containers/{_named(container)}/kill", {"signal": signal})

    def unpause(self, container: str) -> None:
        """Let a paused container go on."""
        self._ask("POST", f"/containers/{_named(container)}/unpause")

    def remove(self, container: str, *, force: bool = False) -> None:
        """Remove a container with its anonymous volumes; ``force`` kills it before."""
        self._ask("DELETE", f"/containers/{_named(container)}", {"v": 1, "force": int(force)})

    def wait(self, container: str) -> None:
        """Return when the container does not run (any more)."""
        self._request("POST", f"/containers/{_named(container)}/wait", NOTHING, None, None)

    def image(self, reference: str) -> Image | None:
        """Return the image that the engine has under ``reference``, or ``None``."""
        try:
            found = self._ask("GET", f"/images/{_named(reference)}/json")
            return msgspec.convert(found | {"SettingsBytes": len(msgspec.json.encode(found.get("Config")))}, Image)
        except EngineError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def containers(self, label: str | None = None) -> list[ListedContainer]:
        """Return all containers, or those with ``label``, given as ``NAME`` or ``NAME=VALUE``."""
        params = {"all": 1} | ({} if label is None else _filtered(label=label))
        return msgspec.convert(self._ask("GET", "/containers/json", params), list[ListedContainer])

    def written_bytes(self, container: str) -> int:
        """Return how much a container has written to its own file system, in bytes; 0 for one that is not there."""
        asked = {"all": 1, "size": 1} | _filtered(id=container)
        found = self._request("GET", "/containers/json", asked, None, WALK_SECONDS)
        return sum(one.size_rw for one in msgspec.convert(found, list[ListedContainer]))

    def file_bytes(self, container: str, path: str) -> int:
        """Return the size of a file in a container, in bytes; 0 for one that is not there."""
        with self._answering():
            told = self._header(f"/containers/{_named(container)}/archive", {"path": path}, _FILE_HEADER)
        return int(msgspec.json.decode(b64decode(told))["size"]) if told else 0

    def stats(self, container: str) -> Any:
        """Return what the engine counts of a container that runs, as it gives that."""
        return self._ask("GET", f"/containers/{_named(container)}/stats", {"stream": "false", "one-shot": "true"})

    def volume_bytes(self, names: Collection[str]) -> int:
        """Return how much volumes hold, in bytes; those that the engine does not know the size of count for nothing."""
        volumes = self._request("GET", "/system/df", {"type": "volume"}, None, WALK_SECONDS).get("Volumes") or ()
        sizes = {one["Name"]: int((one.get("UsageData") or {}).get("Size") or 0) for one in volumes}
        return sum(max(0, sizes.get(name, 0)) for name in names)

    def make_directory(self, container: str, path: str, owner: tuple[int, int]) -> None:
        """Make a directory at the top of a container's file system, which is its owner's alone."""
        archive = _directory_archive(path.strip("/"), owner)
        self._ask("PUT", f"/containers/{_named(container)}/archive", {"path": "/"}, archive)

    def run_in(self, container: str, command: Sequence[str], seconds: float) -> int | None:
        """Run a command in a container that runs; returns its exit code, ``None`` where it takes longer.

        It runs as the container's own user: its programs are the job's, and get no more rights than the job has. A
        command that the container does not have ends with 126 or 127, as in a shell.
        """
        asked = {"Cmd": list(command)}
        made: str = self._ask("POST", f"/containers/{_named(container)}/exec", NOTHING, asked)["Id"]
        self._ask("POST", f"/exec/{made}/start", NOTHING, {"Detach": True})
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            seen = self._ask("GET", f"/exec/{made}/json")
            if not seen["Running"] and seen["ExitCode"] is not None:
                return int(seen["ExitCode"])
            time.sleep(_EXEC_PAUSE_SECONDS)
        return None

    def images(self) -> list[Image]:
        """Return the images that the engine shows: without those that are mere steps of a build."""
        return msgspec.convert(self._ask("GET", "/images/json"), list[Image])

    def remove_image(self, name: str) -> None:
        """Remove a name of an image, and what no other name or container needs."""
        self._ask("DELETE", f"/images/{_named(name)}")

    def prune_build_cache(self, unused_seconds: float) -> int:
        """Remove what builds have left and none has used for so long; returns the bytes that this gave back."""
        until = _filtered(until=f"{int(unused_seconds)}s") if unused_seconds >= 1 else {}
        return int(self._ask("POST", "/build/prune", {"all": 1} | until).get("SpaceReclaimed") or 0)

    def data_directory(self) -> str:
        """Return the path under which the engine keeps images and containers, on its own host."""
        return str(self._ask("GET", "/info").get("DockerRootDir") or "")

    def pull(
        self, reference: str, platform: str | None, auth: Mapping[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Pull an image; yields the engine's events as they come, the last one with ``error`` where it fails.

        ``auth`` of None is what Docker's own configuration has for the registry.
        """
        with self._answering():
            shown = None if auth is None else dict(auth)
            yield from self._client().pull(reference, stream=True, decode=True, platform=platform, auth_config=shown)

    def push(self, reference: str, auth: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Push an image; events and ``auth`` as for :meth:`pull`."""
        with self._answering():
            shown = None if auth is None else dict(auth)
            yield from self._client().push(reference, stream=True, decode=True, auth_config=shown)

    def load(self, archive: Path) -> None:
        """Take the images of an archive as `docker save` writes it."""
        with archive.open("rb") as file, self._answering():
            for event in self._client().load_image(file):
                if event.get("error"):
                    raise EngineError(_BROKEN, str(event["error"]))

    def build(self, context: str, dockerfile: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Build an image of the directory ``context`` with the engine's older builder, which every engine has.

        Yields its events; the last one has ``error`` where it fails.
        """
        with self._answering():
            yield from self._client().build(
                path=context, dockerfile=dockerfile, decode=True, rm=True, forcerm=True, **options
            )

    @property
    def is_docker(self) -> bool:
        """Whether it is Docker's own, and no other engine that speaks its API."""
        parts = self._ask("GET", "/version").get("Components") or ()
        return not any("podman" in str(part.get("Name")).lower() for part in parts)

    def output(self, container: str, *, follow: bool, tail: int | None = None) -> Iterator[bytes]:
        """Yield the container's output, an entry at a time, each with its time before it: ``TIME SPACE TEXT``.

        From its beginning, or the last ``tail`` entries. An entry is one line, or a piece of a long one.
        """
        asked = {"timestamps": 1, "follow": int(follow)} | ({} if tail is None else {"tail": tail})
        with self._answering(), self._log(container, asked) as pieces:
            yield from frames(pieces)

    def terminal_output(self, container: str, *, follow: bool) -> Iterator[bytes]:
        """Yield the output of a container with a terminal from its beginning, in pieces as they come."""
        with self._answering(), self._log(container, {"follow": int(follow)}) as pieces:
            yield from pieces

    def close(self) -> None:
        """Close the connection."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    @contextmanager
    def _log(self, container: str, asked: Mapping[str, int]) -> Iterator[Iterator[bytes]]:
        target, params = f"/containers/{_named(container)}/logs", {"stdout": 1, "stderr": 1, **asked}
        if self.socket_path is not None:
            with UnixHttp(self.socket_path, CONNECT_SECONDS).stream(f"/{self._version()}{target}", params) as pieces:
                yield pieces
            return
        with self._remote("GET", target, params, None, None) as answer:
            yield answer.iter_content(chunk_size=None)

    def _ask(self, method: str, target: str, params: Mapping[str, Any] = NOTHING, body: Any = None) -> Any:
        """Return the engine's answer, for which it has a time; ``body`` is an archive, or becomes JSON."""
        return self._request(method, target, params, body, ANSWER_SECONDS)

    def _request(self, method: str, target: str, params: Mapping[str, Any], body: Any, seconds: float | None) -> Any:
        with self._answering():
            if self.socket_path is not None:
                engine = UnixHttp(self.socket_path, CONNECT_SECONDS)
                return engine.ask(method, f"/{self._version()}{target}", params, body, seconds)
            with self._remote(method, target, params, body, seconds) as answer:
                return answer.json() if answer.content.strip() else None

    def _header(self, target: str, params: Mapping[str, Any], name: str) -> str | None:
        """Return a header of the answer, ``None`` where there is nothing of that name."""
        try:
            if self.socket_path is not None:
                engine = UnixHttp(self.socket_path, CONNECT_SECONDS)
                return engine.header(f"/{self._version()}{target}", params, name, ANSWER_SECONDS)
            with self._remote("HEAD", target, params, None, ANSWER_SECONDS) as answer:
                return answer.headers.get(name)
        except Refused as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def _remote(
        self, method: str, target: str, params: Mapping[str, Any], body: Any, seconds: float | None
    ) -> requests.Response:
        client = self._client()
        content = {"data": body} if type(body) is bytes else {"json": body}
        url = f"{client.base_url}/v{client.api_version}{target}"
        limits = (CONNECT_SECONDS, seconds)
        answer: requests.Response = client.request(method, url, params=params, timeout=limits, stream=True, **content)
        if not answer.ok:
            with answer:
                raise Refused(answer.status_code, words_of(answer.content))
        return answer

    def _version(self) -> str:
        """Return the engine's version of the API, as it stands in paths; recent engines refuse old ones."""
        if self._api_version is None and self.socket_path is not None:
            found: Any = UnixHttp(self.socket_path, CONNECT_SECONDS).ask("GET", "/version", {}, None, ANSWER_SECONDS)
            self._api_version = f"v{found['ApiVersion']}"
        return self._api_version or ""

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
        except Refused as error:
            raise EngineError(error.status, error.message) from error
        except APIError as error:
            raise EngineError(int(error.status_code or _BROKEN), str(error.explanation or error)) from error
        except PermissionError as error:
            raise EngineForbidden(
                f"The agent's user may not use the container engine at {self.address}.",
                hint="The administrator adds the user to the group of the engine's socket (docker, usually).",
            ) from error
        except (DockerException, *_CONNECTION_ERRORS) as error:
            raise RunnerUnavailable(f"The container engine at {self.address} does not answer.") from error


def _directory_archive(name: str, owner: tuple[int, int]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, (entry.uid, entry.gid) = tarfile.DIRTYPE, 0o700, owner
        archive.addfile(entry)
    return made.getvalue()


def _named(name: str) -> str:
    """Return a name as it stands in a path: those of images have slashes."""
    return quote(name, safe="/:@")


def _filtered(**by: str) -> dict[str, str]:
    return {"filters": json.dumps({name: [value] for name, value in by.items()})}


def _knock(path: str) -> None:
    """Raise :class:`OSError` where nothing listens at a socket, or this process may not.

    The SDK wraps the reason out of sight, and leaves a socket of its own open.
    """
    connected(path, CONNECT_SECONDS).close()
