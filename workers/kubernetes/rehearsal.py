"""A cluster that answers without a network, for what is done in the fork server on behalf of all workers.

See ``workers.rehearsal``. It has one job, which runs when it is looked at first and has ended at the second look.
"""

import json
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from urllib3.connection import HTTPConnection

from ipc.run_spec import RunSpec
from workers.kubernetes.access import Access, Connection, connect
from workers.kubernetes.api import KubernetesApi
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
clusters: [{name: one, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: one, user: {token: none}}]
contexts: [{name: one, context: {cluster: one, user: one, namespace: default}}]
"""
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
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
        config = directory / "kubeconfig"
        config.write_text(_CONFIG)
        super().__init__(Access(str(config)))
        self.config_file = str(config)
        self._looked = looked
        self._looks = 0

    def connect(self) -> Connection:
        """Read the kubeconfig as for any cluster, and connect to none."""
        if self._connected is None:
            self._connected = connect(self._access)
            pool = self._connected.pool.connection_from_url(self._connected.host)
            pool.ConnectionCls = partial(_Scripted, self._body)
        return self._connected

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


class _Scripted(HTTPConnection):
    """A connection to the other end of a pair of sockets."""

    def __init__(self, answer: Callable[[str, str], bytes], **settings: Any) -> None:
        super().__init__(**settings)
        self._answer = answer

    def connect(self) -> None:
        self.sock, self._far = socket.socketpair()

    def getresponse(self) -> Any:
        with self._far:
            method, path, _ = self._far.recv(1 << 16).split(b" ", 2)
            body = self._answer(method.decode(), path.decode())
            self._far.sendall(_HEAD % len(body) + body)
        return super().getresponse()
