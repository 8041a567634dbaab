"""An agent in the cluster that it serves: the image, the manifests, the least rights, and a job from a queue server.

Needs the cluster of `tests/parts/kubernetes` on this machine: images are put into its node, and its pods reach a queue
server of this machine on the node's bridge. Runs may share the cluster: namespaces, volume and image have names of
the run's own.
"""

import json
import os
import secrets
import subprocess
import tarfile
import tempfile
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
RUN = secrets.token_hex(4)
IMAGE = f"localhost/launchd-agent:{RUN}"
VOLUME = f"launchd-test-agent-{RUN}"
#: The manifests' namespaces, and the run's.
NAMESPACES = {"launchd": f"launchd-{RUN}", "launchd-jobs": f"launchd-jobs-{RUN}"}
AGENTS, JOBS = NAMESPACES.values()
NODE = Path(os.environ.get("KUBE_TEST_HOME", "/var/cache/launchd-kubernetes")) / "run/containerd/containerd.sock"
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
) -> Iterator[str]:
    """The image, built as `make image` does on a base image of the tests' own, and put into the node.

    ``LAUNCHD_TEST_AGENT_IMAGE`` names an archive of one that was built before.
    """
    if ready := os.environ.get("LAUNCHD_TEST_AGENT_IMAGE"):
        _on_node("import", ready)
        yield _name_in(Path(ready))
        return
    engine: TestEngine = request.getfixturevalue("engine")
    archive = tmp_path_factory.mktemp("image") / "agent.tar"
    of_build = {"BASE": import_python_image(engine), "EXTRAS": "kubernetes", "PACKAGES": "", "NETWORK": "host"}
    environ = {**os.environ, "DOCKER_HOST": engine.address, **of_build}
    subprocess.run([ROOT / "packaging/image/build.sh", IMAGE], env=environ, check=True)
    subprocess.run(["docker", "save", "--output", archive, IMAGE], env=environ, check=True)
    _on_node("import", str(archive))
    archive.unlink()
    yield IMAGE
    _on_node("remove", IMAGE)


def _on_node(*words: str) -> None:
    subprocess.run(["ctr", "--address", NODE, "--namespace", "k8s.io", "images", *words], check=True)


def _name_in(archive: Path) -> str:
    with tarfile.open(archive) as tar:
        found = tar.extractfile("manifest.json")
        assert found is not None
        return str(json.load(found)[0]["RepoTags"][0])


@pytest.fixture(scope="module")
def server(cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server"), "--host", cluster.node_address()) as running:
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
    made: list[str] = []
    with tempfile.TemporaryDirectory(prefix="launchd-test-agent-", dir="/var/tmp") as place:
        os.chown(place, USER, USER)
        try:
            for one in [_volume(place), *_overlaid(server, image)]:
                path = PLURALS[one["kind"]].format(one["metadata"].get("namespace"))
                cluster.api.create(path, one)
                made.append(f"{path}/{one['metadata']['name']}")
            yield cluster
        finally:
            for path in reversed(made):
                cluster.api.delete(path)
            for name in NAMESPACES.values():
                path = f"/api/v1/namespaces/{name}"
                wait_until(lambda: cluster.api.find(path) is None, 90, f"{name} is gone")  # noqa: B023 - waited for


def _overlaid(server: RunningServer, image: str) -> list[dict[str, Any]]:
    objects = manifests(image)
    settings = of_kind(objects, "ConfigMap")["data"]
    config = yaml.safe_load(settings["launch-config.yaml"])
    config["entity"], config["launchd"]["base_url"] = "me", server.url
    key = {"kind": "Secret", "metadata": {"name": "launch-agent-key", "namespace": "launchd"}}
    settings["launch-config.yaml"] = yaml.safe_dump(_of_run(config))
    first = [one for one in objects if one["kind"] == "Namespace"]
    rest = [one for one in objects if one["kind"] != "Namespace"]
    secret = {"apiVersion": "v1", **key, "stringData": {"api.key": server.key}}
    return [_of_run(one) for one in (*first, secret, *rest)]


def _of_run(value: Any) -> Any:
    """Return a manifest with the run's own namespaces."""
    match value:
        case dict():
            return {name: _of_run(inner) for name, inner in value.items()}
        case list():
            return [_of_run(inner) for inner in value]
        case str():
            return NAMESPACES.get(value, value)
    return value


def _volume(path: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": VOLUME},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "5Gi"},
            "hostPath": {"path": path},
            "claimRef": {"namespace": AGENTS, "name": "state-launch-agent-0"},
        },
    }


def agent_log(cluster: TestCluster) -> str:
    with cluster.api.follow(f"/api/v1/namespaces/{AGENTS}/pods/launch-agent-0/log", 30) as pieces:
        return b"".join(pieces).decode(errors="replace")


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
    assert f"grants what jobs need in the namespace {JOBS}" in log
    assert "orbidden" not in log
    for plural in ("jobs", "pods", "secrets"):
        root = "/apis/batch/v1" if plural == "jobs" else "/api/v1"
        path = f"{root}/namespaces/{JOBS}/{plural}"
        wait_until(lambda: not _ours(agent, path), 60, f"no {plural} are left")  # noqa: B023 - it is waited for


def _ours(cluster: TestCluster, path: str) -> list[Any]:
    return list(cluster.api.get(path, labelSelector="launchd/name")["items"])


def test_the_next_pod_adopts_the_job_of_the_one_before(agent: TestCluster, queues: QueueServer) -> None:
    job = push(queues, "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 3; done")
    path = f"/apis/batch/v1/namespaces/{JOBS}/jobs"
    wait_until(lambda: _ours(agent, path), 60, "the job is in the cluster")

    agent.api.delete(f"/api/v1/namespaces/{AGENTS}/pods/launch-agent-0", {"gracePeriodSeconds": 0})

    assert wait_state(queues, job) == "FINISHED"
    assert "adopt" in agent_log(agent).lower()
