"""A container engine of one container, for what is done in the fork server on behalf of all workers.

See ``workers.rehearsal``. It is a process of its own, as engines are, behind a socket in the rehearsal's directory. Its
container ends once it was seen to run twice: by the job's thread, and by that which follows the output.
"""

import json
import os
import signal
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NoReturn

from ipc.policy_rules import ContainerRules, PolicyRules
from ipc.run_spec import RunSpec
from ipc.targets import LOCAL_CONTAINER
from workers.docker.container import NAME_LABEL
from workers.processes import die_with_parent
from workers.rehearsal import NAME

#: A directory of every host.
_MOUNTED = "/usr"

SPEC = RunSpec(
    "entity",
    "project",
    "run",
    LOCAL_CONTAINER,
    docker_image="registry.example/image:1",
    resource_args={LOCAL_CONTAINER: {"env": ["A=1"], "volume": f"{_MOUNTED}:/mounted:ro"}},
)
POLICY = PolicyRules(containers=ContainerRules(mounts=(_MOUNTED,)))

_SOCKET = "engine"
_LOOKS = 2
#: No rehearsal takes so long, in seconds.
_LIMIT_SECONDS = 10.0
_LINE = b"2020-01-01T00:00:00.000000000Z line\n"
_LOG = b"\x01\0\0\0" + len(_LINE).to_bytes(4, "big") + _LINE


@contextmanager
def rehearsed_engine(directory: Path) -> Iterator[str]:
    """Give the address of an engine that is there as long as the block lasts."""
    # The path of a socket is a short one; that of the directory may be long.
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    path = f"/proc/self/fd/{place}/{_SOCKET}"
    try:
        with _Server(path, _Handler) as server:
            pid = os.fork()
            if pid == 0:
                _serve(server)
        try:
            yield f"unix://{path}"
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    finally:
        os.close(place)


def _serve(server: "_Server") -> NoReturn:
    try:
        die_with_parent()
        server.serve_forever()
    finally:
        # Nothing of the fork server's further up this stack is this process's to do.
        os._exit(1)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.status = "created"
        self.looks = 0
        self.ended = threading.Event()

    def look(self) -> str:
        """Return how the container is."""
        seen = self.status
        if seen == "running":
            self.looks += 1
            if self.looks == _LOOKS:
                self.status = "exited"
                self.ended.set()
        return seen


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Answer a question."""
        path, _, query = self.path.partition("?")
        match path.split("/")[1:]:
            case [_, "containers", _, "logs"]:
                if "follow=1" in query:
                    self.server.ended.wait(_LIMIT_SECONDS)
                self._answer(_LOG)
            case [_, "containers", _, "json"]:
                self._answer(_container(self.server.look()))
            case ["version"]:
                self._answer({"ApiVersion": "1.43"})
            case _:
                self._answer({"Id": "image"})

    def do_POST(self) -> None:
        """Do what is asked."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        match self.path.rpartition("/")[2]:
            case "start":
                self.server.status = "running"
            case "wait":
                self.server.ended.wait(_LIMIT_SECONDS)
            case _:
                pass
        self._answer({"Id": "container"})

    do_DELETE = do_POST  # noqa: N815 (the library's)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, answer: dict[str, Any] | bytes) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(200)
        # As engines send what is long, or not at its end yet.
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


def _container(status: str) -> dict[str, Any]:
    return {"Id": "container", "State": {"Status": status}, "Config": {"Labels": {NAME_LABEL: NAME}}}
