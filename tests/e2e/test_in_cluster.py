"""An agent in the cluster that it serves: the image, the manifests, the least rights, and a job from a queue server.

Needs the cluster of `tests/parts/kubernetes` on this machine: images are put into its node, and its pods reach a queue
server of this machine on the node's bridge.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from launchd.client.queue_server import QueueServer
from tests.support.engine import TestEngine
from tests.support.kubernetes import BASE_IMAGE, TestCluster, real_cluster
from tests.support.manifests import manifests, of_kind
from tests.support.parts import missing_part
from tests.support.python_image import import_python_image
from tests.support.server import RunningServer, running_server
from tests.support.testbed import OVER
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.root, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/launchd-agent:test"
NODE = Path(os.environ.get("KUBE_TEST_HOME", "/var/cache/launchd-kubernetes")) / "run/containerd/containerd.sock"
#: The node's address on the bridge of its pods.
BRIDGE = "10.88.0.1"
USER = 65532

#: Where the API has objects of each kind.
PLURALS = {
    "Namespace": "/api/v1/namespaces",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[TestCluster]:
    with real_cluster() as running:
        if not NODE.exists():
            missing_part("The cluster is none of tests/parts/kubernetes on this machine")
        yield running


@pytest.fixture(scope="module")
def image(
    request: pytest.FixtureRequest,
    cluster: TestCluster,  # noqa: ARG001
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The image, built as `make image` does on a base image of the tests' own, and put into the node.

    ``LAUNCHD_TEST_AGENT_IMAGE`` names an archive of one that was built before.
    """
    if ready := os.environ.get("LAUNCHD_TEST_AGENT_IMAGE"):
        _import(Path(ready))
        return IMAGE
    engine: TestEngine = request.getfixturevalue("engine")
    archive = tmp_path_factory.mktemp("image") / "agent.tar"
    of_build = {"BASE": import_python_image(engine), "EXTRAS": "kubernetes", "PACKAGES": "", "NETWORK": "host"}
    environ = {**os.environ, "DOCKER_HOST": engine.address, **of_build}
    subprocess.run([ROOT / "packaging/image/build.sh", IMAGE], env=environ, check=True)
    subprocess.run(["docker", "save", "--output", archive, IMAGE], env=environ, check=True)
    _import(archive)
    archive.unlink()
    return IMAGE


def _import(archive: Path) -> None:
    subprocess.run(["ctr", "--address", NODE, "--namespace", "k8s.io", "images", "import", archive], check=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server"), "--host", BRIDGE) as running:
        yield running


@pytest.fixture(scope="module")
def queues(server: RunningServer) -> Iterator[QueueServer]:
    client = QueueServer(server.url, server.key)
    client.create_queue("me", "kubernetes", resource="kubernetes")
    yield client
    client.close()


@pytest.fixture(scope="module")
def agent(
    cluster: TestCluster,
    image: str,
    server: RunningServer,
    queues: QueueServer,  # noqa: ARG001
) -> Iterator[TestCluster]:
    """The agent, deployed by the manifests with what an overlay has: queue server, entity, key, and a volume."""
    state = Path("/var/tmp/launchd-test-agent-state")
    state.mkdir(mode=0o700)
    os.chown(state, USER, USER)
    made: list[str] = []
    try:
        for one in [_volume(state), *_overlaid(server, image)]:
            path = PLURALS[one["kind"]].format(one["metadata"].get("namespace"))
            cluster.api.create(path, one)
            made.append(f"{path}/{one['metadata']['name']}")
        yield cluster
    finally:
        for path in reversed(made):
            cluster.api.delete(path)
        wait_until(lambda: cluster.api.find("/api/v1/namespaces/launchd") is None, 90, "the namespace is gone")
        shutil.rmtree(state)


def _overlaid(server: RunningServer, image: str) -> list[dict[str, Any]]:
    objects = manifests(image)
    settings = of_kind(objects, "ConfigMap")["data"]
    config = yaml.safe_load(settings["launch-config.yaml"])
    config["entity"], config["launchd"]["base_url"] = "me", server.url
    settings["launch-config.yaml"] = yaml.safe_dump(config)
    key = {"kind": "Secret", "metadata": {"name": "launch-agent-key", "namespace": "launchd"}}
    first = [one for one in objects if one["kind"] == "Namespace"]
    rest = [one for one in objects if one["kind"] != "Namespace"]
    return [*first, {"apiVersion": "v1", **key, "stringData": {"api.key": server.key}}, *rest]


def _volume(path: Path) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "launchd-test-agent"},
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "5Gi"}, "hostPath": {"path": str(path)}},
    }


def agent_log(cluster: TestCluster) -> str:
    request = cluster.api.follow("/api/v1/namespaces/launchd/pods/launch-agent-0/log", 30)
    with request as answer:
        return answer.read().decode(errors="replace")


def push(queues: QueueServer, script: str) -> str:
    spec = {
        "entity": "me",
        "project": "tests",
        "resource": "kubernetes",
        "docker": {"docker_image": BASE_IMAGE},
        "overrides": {"entry_point": ["sh", "-c", script]},
    }
    return queues.push("me", "kubernetes", spec)


def wait_state(queues: QueueServer, item_id: str) -> str:
    def over() -> str | None:
        item = queues.item(item_id)
        return item.state if item is not None and item.state in OVER else None

    state = wait_until(over, 180, "the end of the job")
    assert state is not None
    return state


def test_an_agent_in_the_cluster_runs_jobs_with_the_least_rights(agent: TestCluster, queues: QueueServer) -> None:
    jobs = [push(queues, "echo in a pod; sleep 1"), push(queues, "exit 3")]

    assert [wait_state(queues, job) for job in jobs] == ["FINISHED", "FAILED"]
    log = agent_log(agent)
    assert "grants what jobs need in the namespace launchd-jobs" in log
    assert "orbidden" not in log
    for plural in ("jobs", "pods", "secrets"):
        root = "/apis/batch/v1" if plural == "jobs" else "/api/v1"
        path = f"{root}/namespaces/launchd-jobs/{plural}"
        wait_until(lambda: not _ours(agent, path), 60, f"no {plural} are left")  # noqa: B023 - it is waited for


def _ours(cluster: TestCluster, path: str) -> list[Any]:
    return list(cluster.api.get(path, labelSelector="launchd/name")["items"])


def test_the_next_pod_adopts_the_job_of_the_one_before(agent: TestCluster, queues: QueueServer) -> None:
    job = push(queues, "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 3; done")
    path = "/apis/batch/v1/namespaces/launchd-jobs/jobs"
    wait_until(lambda: _ours(agent, path), 60, "the job is in the cluster")

    agent.api.delete("/api/v1/namespaces/launchd/pods/launch-agent-0", {"gracePeriodSeconds": 0})

    assert wait_state(queues, job) == "FINISHED"
    assert "adopt" in agent_log(agent).lower()
