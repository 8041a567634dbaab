"""A real cluster for tests: what ``KUBECONFIG`` names, or the one of `tests/parts/kubernetes` where that is up."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.parts import missing_part
from workers.kubernetes.access import Access
from workers.kubernetes.api import KubernetesApi

#: Read at import: what a person has set is taken out of the environment of tests.
_CONFIG = os.environ.get("KUBECONFIG") or "/var/cache/launchd-kubernetes/kubeconfig"

#: On every node of the tests' own cluster; see `tests/parts/kubernetes/up.sh`.
BASE_IMAGE = "localhost/launchd-test-base:1"


class TestCluster:
    """A cluster with a namespace of the tests' own."""

    __test__ = False

    def __init__(self, config_file: str, api: KubernetesApi, namespace: str) -> None:
        self.config_file = config_file
        self.api = api
        self.namespace = namespace

    def path(self, plural: str, name: str = "") -> str:
        """Return the path of the objects of a kind, or of one of them."""
        root = "/apis/batch/v1" if plural == "jobs" else "/api/v1"
        return f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def node_address(self) -> str:
        """Return where pods reach what listens on the first node."""
        addresses = self.api.get("/api/v1/nodes")["items"][0]["status"]["addresses"]
        return str(next(one["address"] for one in addresses if one["type"] == "InternalIP"))

    def items(self, plural: str) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        return list(self.api.get(self.path(plural))["items"])


@contextmanager
def real_cluster() -> Iterator[TestCluster]:
    """Give a namespace of a real cluster. Skips where there is none."""
    if not Path(_CONFIG).exists():
        missing_part("There is no Kubernetes cluster here (tests/parts/kubernetes/build.sh and up.sh make one)")
    api = KubernetesApi(Access(_CONFIG))
    namespace = f"launchd-test-{secrets.token_hex(4)}"
    api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    try:
        yield TestCluster(_CONFIG, api, namespace)
    finally:
        api.delete(f"/api/v1/namespaces/{namespace}")
        api.close()
