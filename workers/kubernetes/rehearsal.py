"""A cluster that answers without a network, for what is done in the fork server on behalf of all workers.

See ``workers.rehearsal``. It has one job, which runs when it is looked at first and has ended at the second look.
"""

import json
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import msgspec

from ipc.run_spec import RunSpec
from workers.kubernetes.access import Access, Connection, connect
from workers.kubernetes.api import KubernetesApi
from workers.kubernetes.connection import ApiConnection
from workers.kubernetes.kubeconfig import Route
from workers.kubernetes.names import NAME_LABEL
from workers.rehearsal import NAME

SPEC = RunSpec(
    "entity",
    "project",
    "run",
    "kubernetes",
    docker_image="registry.example/image:1",
    resource_args={"kubernetes": {"spec": {"template": {"spec": {"containers": [{"resources": {}}]}}}}},
)

_CONFIG = """
apiVersion: v1
kind: Config
current-context: one
clusters: [{name: one, cluster: {server: "http://127.0.0.1:PORT"}}]
users: [{name: one, user: {token: none}}]
contexts: [{name: one, context: {cluster: one, user: one, namespace: default}}]
"""
_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
#: A log comes in pieces.
_PIECE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    b"%x\r\n%b\r\n0\r\n\r\n"
)
_METADATA = {
    "name": "job",
    "namespace": "default",
    "uid": "1",
    "labels": {NAME_LABEL: NAME},
    "resourceVersion": "1",
}


class RehearsedApi(KubernetesApi):
    """The API of the cluster. ``looked`` is called at each look at the job."""

    def __init__(self, directory: Path, looked: Callable[[], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        config = directory / "kubeconfig"
        config.write_text(_CONFIG.replace("PORT", str(self._listener.getsockname()[1])))
        super().__init__(Access(str(config)))
        self.config_file = str(config)
        self._looked = looked
        self._looks = 0

    def connect(self) -> Connection:
        """Read the kubeconfig as for any cluster; what answers is this object."""
        if self._connected is None:
            _begin_tls()
            known = connect(self._access)
            self._connected = msgspec.structs.replace(known, open=lambda: _Scripted(self._listener, self._body))
        return self._connected

    def close(self) -> None:
        """End what listens."""
        super().close()
        self._listener.close()

    def _body(self, method: str, path: str) -> bytes:
        if path.partition("?")[0].endswith("/log"):
            return b"2020-01-01T00:00:00.000000000Z line\n"
        if method == "GET" and "/pods" in path:
            return json.dumps({"items": [self._pod()]}).encode()
        if method == "GET":
            self._looks += 1
            self._looked()
        return json.dumps({"metadata": _METADATA, "status": self._status()}).encode()

    def _status(self) -> dict[str, Any]:
        return {"conditions": [{"type": "Complete", "status": "True"}]} if self._looks > 1 else {"active": 1}

    def _pod(self) -> dict[str, Any]:
        is_over = self._looks > 1
        state = {"terminated": {"exitCode": 0}} if is_over else {"running": {}}
        containers = [{"name": "launch0", "state": state, "restartCount": 0}]
        return {
            "metadata": _METADATA | {"name": "pod"},
            "status": {"phase": "Succeeded" if is_over else "Running", "containerStatuses": containers},
        }


class _Scripted(ApiConnection):
    """A connection to this very process."""

    def __init__(self, listener: socket.socket, answer: Callable[[str, str], bytes]) -> None:
        super().__init__(Route(f"http://127.0.0.1:{listener.getsockname()[1]}"), None)
        self._listener = listener
        self._answer = answer

    def connect(self) -> None:
        super().connect()
        self._far, _ = self._listener.accept()

    def getresponse(self) -> HTTPResponse:
        with self._far:
            method, path, _ = self._far.recv(1 << 16).split(b" ", 2)
            body = self._answer(method.decode(), path.decode())
            self._far.sendall((_PIECE if b"/log?" in path else _WHOLE) % (len(body), body))
        return super().getresponse()


def _begin_tls() -> None:
    """Do what a connection by TLS begins with: the library finds its algorithms then, and keeps what it found."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1").do_handshake()
