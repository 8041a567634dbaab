"""A Kubernetes API of the tests' own, on a socket of this machine, whose pods are processes of this machine.

It keeps Jobs, pods, Secrets and custom resources in memory, runs the command of the first container of each Job's pod,
serves logs and watches, and does as a Job's controller and the garbage collector do. It can be told to fail. It is for
what a cluster of one node cannot show, and for machines that have none.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.cluster.objects import Key, Object
from tests.support.cluster.server import Api, ApiServer, Fault

__all__ = ["FakeKubernetes", "Fault", "fake_kubernetes"]


class FakeKubernetes(Api):
    """The cluster. Its methods may be called from any thread."""

    def __init__(self) -> None:
        super().__init__()
        self.runs_pods = True
        self.silent = self.pods.silent
        self._server = ApiServer(self)

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def write_config(self, path: Path, namespace: str = "default") -> Path:
        """Write a kubeconfig for it."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.address}}],
            "users": [{"name": "tests", "user": {"token": "secret-token"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "tests", "namespace": namespace}}],
            "current-context": "fake",
        }
        path.write_text(json.dumps(config))
        return path

    def start(self) -> None:
        """Answer from now on."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="fake kubernetes", daemon=True).start()

    def close(self) -> None:
        """Answer no more, and end all pods."""
        self.pods.close()
        super().close()
        self._server.shutdown()
        self._server.server_close()

    def create(self, key: Key, body: Object) -> tuple[int, Object]:
        """Create an object; a Job gets its pod, which runs, unless it is suspended."""
        status, answer = super().create(key, body)
        if status == 201 and key[1] == "jobs" and self.runs_pods and not body["spec"].get("suspend"):
            self.run_job(body)
        return status, answer

    def run_job(self, job: Object) -> None:
        """Make the pod of a Job and run it."""
        self.pods.run_job(job)


@contextmanager
def fake_kubernetes() -> Iterator[FakeKubernetes]:
    """Give a cluster of the tests' own."""
    cluster = FakeKubernetes()
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.close()
