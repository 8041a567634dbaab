"""Builds by buildah in pods of a real cluster of one node; its image is made of this machine's buildah."""

import base64
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import BuildError
from ipc.settings import BuilderConfig, KubernetesConfig, PodBuildsConfig, RegistryAccess, RegistryConfig
from tests.support.buildah_image import push_buildah_image
from tests.support.job_contexts import Heard, heard, make_context
from tests.support.kubernetes import TestCluster, real_cluster
from tests.support.python_image import without_settings_of_machine
from tests.support.registries import PASSWORD, USER, Buildah, TestRegistry, running_registry
from tests.support.waiting import wait_until
from workers.builders.pods import BuildahPodBuilder
from workers.context import JobContext
from workers.sources import Project

__all__ = ["heard", "make_context"]

pytestmark = [pytest.mark.long, pytest.mark.root, pytest.mark.timeout(600)]

#: As Docker's configuration has it.
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def cluster() -> Iterator[TestCluster]:
    with real_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def tool_image(cluster: TestCluster, place: Path) -> Iterator[str]:
    """The image with buildah, where the node pulls it from."""
    del cluster
    with running_registry(place / "of-node") as running:
        name = f"{running.name}/buildah:1"
        push_buildah_image(Buildah(place / "by-hand"), place, name)
        yield name


@pytest.fixture(scope="module")
def registry(cluster: TestCluster, place: Path) -> Iterator[TestRegistry]:
    """Where pods pull from and push to; it asks for a password."""
    with running_registry(place / "registry", host=cluster.node_address(), password=True) as running:
        by_hand = Buildah(place / "by-hand")
        by_hand.push_base(f"{running.name}/base:1", by_hand.login(running.name))
        yield running


@pytest.fixture
def make_build(
    make_context: Callable[..., JobContext],
    cluster: TestCluster,
    registry: TestRegistry,
    tool_image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., JobContext]:
    without_settings_of_machine(monkeypatch)
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    access = RegistryAccess(insecure=True, username=USER, password_file=str(password))
    builds = PodBuildsConfig(image=tool_image, namespace=cluster.namespace, no_progress_seconds=120)

    def make(**changes: Any) -> JobContext:
        order = {
            "builder_config": BuilderConfig(type="buildah-pod"),
            "kubernetes": KubernetesConfig(cluster.config_file, builds=builds),
            "registry": RegistryConfig("plain", f"{registry.name}/team/images"),
            "registry_access": access,
        }
        return make_context(**order | changes)

    return make


def build(context: JobContext, dockerfile: str) -> str:
    (context.work / "hello.txt").write_text("hello")
    (context.work / "Dockerfile").write_text(dockerfile)
    project = Project(context.work, entry_point=("sh", "-c", "true"), dockerfile="Dockerfile")
    return str(BuildahPodBuilder().build(project, context).image)


def assert_nothing_is_left(cluster: TestCluster) -> None:
    wait_until(lambda: cluster.items("jobs") == cluster.items("pods") == [], 60, "neither Jobs nor pods are left")
    kinds = [one["type"] for one in cluster.items("secrets")]
    assert [kind for kind in kinds if "service-account" not in kind] == []


def test_an_image_is_built_in_a_pod_and_pushed(
    make_build: Callable[..., JobContext], cluster: TestCluster, registry: TestRegistry, place: Path, heard: Heard
) -> None:
    context = make_build()
    steps = "COPY hello.txt /greeting/\nRUN cp /greeting/hello.txt /greeting/copy && chown 1000 /greeting/copy && ls /"

    image = build(context, f"FROM {registry.name}/base:1\n{steps}\n")

    look = Buildah(place / "look")
    files = look.files(image, look.login(registry.name))
    log = (context.directory / "build.log").read_text()
    assert files["greeting/copy"][1] == 1000
    assert "[build] STEP 3/4: RUN cp" in log
    assert any("the container build runs" in text or "STEP" in text for text in heard.progress())
    assert LOGIN not in log
    assert_nothing_is_left(cluster)


def test_a_step_sees_no_credentials(
    make_build: Callable[..., JobContext], cluster: TestCluster, registry: TestRegistry
) -> None:
    context = make_build()
    search = "for path in /launchd /run/secrets /proc/1/root/launchd; do ls -R $path 2>/dev/null; done; env; exit 3"

    with pytest.raises(BuildError) as failed:
        build(context, f"FROM {registry.name}/base:1\nRUN {search}\n")

    log = (context.directory / "build.log").read_text()
    assert "could not be built by buildah" in failed.value.message
    assert "dockerconfigjson" not in log
    assert LOGIN not in log
    assert_nothing_is_left(cluster)


def test_an_image_of_the_tool_that_is_not_there_says_so(
    make_build: Callable[..., JobContext], cluster: TestCluster, registry: TestRegistry, tool_image: str
) -> None:
    builds = PodBuildsConfig(image=f"{tool_image}-missing", namespace=cluster.namespace, no_progress_seconds=10)
    context = make_build(kubernetes=KubernetesConfig(cluster.config_file, builds=builds))

    with pytest.raises(BuildError, match="its image cannot be pulled"):
        build(context, f"FROM {registry.name}/base:1\nRUN true\n")

    assert_nothing_is_left(cluster)
