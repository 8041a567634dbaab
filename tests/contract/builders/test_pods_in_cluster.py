"""Builds in pods of a real cluster of one node: by this machine's buildah, and by kaniko where a person names one.

Neither tool's own image can be had without a public registry. ``LAUNCHD_TEST_KANIKO=PATH`` names kaniko's ``executor``,
which Go builds without libraries; without it the rows of kaniko are skipped.
"""

import base64
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ipc.errors import BuildError
from ipc.settings import BuilderConfig, DockerConfig, KubernetesConfig, PodBuildsConfig, RegistryAccess, RegistryConfig
from tests.support.buildah_image import push_buildah_image
from tests.support.job_contexts import Heard, heard, make_context
from tests.support.kaniko_image import EXECUTOR, push_kaniko_image
from tests.support.kubernetes import TestCluster, real_cluster
from tests.support.packages import package_index, write_wheel
from tests.support.python_image import without_settings_of_machine
from tests.support.registries import PASSWORD, USER, Buildah, TestRegistry, running_registry
from tests.support.waiting import wait_until
from workers.builders.pods import BuildahPodBuilder, KanikoBuilder, PodBuilder
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


@dataclass(frozen=True)
class Tool:
    """What builds in the pod: its name in the configuration, its image where the node pulls it from, and what it says
    of a step."""

    kind: str
    builder: PodBuilder
    image: str
    says: str


@pytest.fixture(scope="module")
def of_node(cluster: TestCluster, place: Path) -> Iterator[TestRegistry]:
    """Where the node pulls the images of the tools from."""
    del cluster
    with running_registry(place / "of-node") as running:
        yield running


@pytest.fixture(scope="module")
def buildah(of_node: TestRegistry, place: Path) -> Tool:
    name = f"{of_node.name}/buildah:1"
    push_buildah_image(Buildah(place / "by-hand"), place, name)
    return Tool("buildah-pod", BuildahPodBuilder(), name, "[build] STEP 3/4: RUN cp")


@pytest.fixture(scope="module")
def kaniko(of_node: TestRegistry, place: Path) -> Tool:
    if EXECUTOR is None:
        pytest.skip("LAUNCHD_TEST_KANIKO names no executor of kaniko")
    name = f"{of_node.name}/kaniko:1"
    push_kaniko_image(Buildah(place / "by-hand"), place, name)
    return Tool("kaniko", KanikoBuilder(), name, "RUN cp")


@pytest.fixture(params=["buildah", "kaniko"])
def tool(request: pytest.FixtureRequest) -> Tool:
    chosen: Tool = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(scope="module")
def registry(cluster: TestCluster, place: Path) -> Iterator[TestRegistry]:
    """Where pods pull from and push to; it asks for a password."""
    with running_registry(place / "registry", host=cluster.node_address(), password=True) as running:
        by_hand = Buildah(place / "by-hand")
        login = by_hand.login(running.name)
        by_hand.push_base(f"{running.name}/base:1", login)
        by_hand.push_python(f"{running.name}/python:1", login)
        yield running


@pytest.fixture
def make_build(
    make_context: Callable[..., JobContext],
    cluster: TestCluster,
    registry: TestRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., JobContext]:
    without_settings_of_machine(monkeypatch)
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    access = RegistryAccess(insecure=True, username=USER, password_file=str(password))

    def make(tool: Tool, image: str | None = None, no_progress_seconds: float = 120) -> JobContext:
        chosen = image or tool.image
        is_kaniko = tool.kind == "kaniko"
        builds = PodBuildsConfig(
            image=None if is_kaniko else chosen,
            namespace=cluster.namespace,
            no_progress_seconds=no_progress_seconds,
        )
        return make_context(
            builder_config=BuilderConfig(type=tool.kind, kaniko_image=chosen if is_kaniko else None),
            docker=DockerConfig(base_image=f"{registry.name}/python:1"),
            kubernetes=KubernetesConfig(cluster.config_file, builds=builds),
            registry=RegistryConfig("plain", f"{registry.name}/team/images"),
            registry_access=access,
        )

    return make


def build(tool: Tool, context: JobContext, dockerfile: str) -> str:
    # Not the same for two tools: what one has built is not built by the other.
    (context.work / "hello.txt").write_text(f"hello {tool.kind}")
    (context.work / "Dockerfile").write_text(dockerfile)
    project = Project(context.work, entry_point=("sh", "-c", "true"), dockerfile="Dockerfile")
    return str(tool.builder.build(project, context).image)


def assert_nothing_is_left(cluster: TestCluster) -> None:
    wait_until(lambda: cluster.items("jobs") == cluster.items("pods") == [], 60, "neither Jobs nor pods are left")
    kinds = [one["type"] for one in cluster.items("secrets")]
    assert [kind for kind in kinds if "service-account" not in kind] == []


def test_an_image_is_built_in_a_pod_and_pushed(
    make_build: Callable[..., JobContext],
    tool: Tool,
    cluster: TestCluster,
    registry: TestRegistry,
    place: Path,
    heard: Heard,
) -> None:
    context = make_build(tool)
    steps = "COPY hello.txt /greeting/\nRUN cp /greeting/hello.txt /greeting/copy && chown 1000 /greeting/copy && ls /"

    image = build(tool, context, f"FROM {registry.name}/base:1\n{steps}\n")

    look = Buildah(place / f"look-{tool.kind}")
    files = look.files(image, look.login(registry.name))
    log = (context.directory / "build.log").read_text()
    assert files["greeting/copy"][1] == 1000
    assert tool.says in log
    assert any("the container" in text or "STEP" in text for text in heard.progress())
    assert LOGIN not in log
    assert_nothing_is_left(cluster)


def test_requirements_are_installed_and_the_settings_of_the_host_are_in_no_layer(
    make_build: Callable[..., JobContext],
    tool: Tool,
    cluster: TestCluster,
    registry: TestRegistry,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    write_wheel(packages, "tiny", "4")
    with package_index(packages, host=cluster.node_address()) as index:
        monkeypatch.setenv("PIP_INDEX_URL", index.simple)
        monkeypatch.setenv("PIP_TRUSTED_HOST", index.host)
        context = make_build(tool)
        (context.work / "main.py").write_text(f"print({tool.kind!r})")
        (context.work / "requirements.txt").write_text("tiny==4\n")

        image = str(tool.builder.build(Project(context.work, entry_point=("python", "main.py")), context).image)

    look = Buildah(place / f"look-{tool.kind}")
    files = look.files(image, look.login(registry.name))
    assert [name for name in files if name.endswith("site-packages/tiny-4.dist-info/METADATA")]
    assert [name for name in files if name.endswith("/main.py")]
    assert [name for name, (_, _) in files.items() if "secrets/" in name] == []
    assert index.simple not in look("inspect", "--type", "image", image)
    assert_nothing_is_left(cluster)


def test_a_step_that_fails_is_told(
    make_build: Callable[..., JobContext], tool: Tool, cluster: TestCluster, registry: TestRegistry
) -> None:
    context = make_build(tool)

    with pytest.raises(BuildError, match=f"could not be built by {tool.builder.kit.tool}") as failed:
        build(tool, context, f"FROM {registry.name}/base:1\nRUN echo this is why; exit 3\n")

    assert "this is why" in (failed.value.detail or "")
    assert_nothing_is_left(cluster)


def test_a_step_of_buildah_sees_no_credentials(
    make_build: Callable[..., JobContext], buildah: Tool, cluster: TestCluster, registry: TestRegistry
) -> None:
    context = make_build(buildah)
    search = "for path in /launchd /run/secrets /proc/1/root/launchd; do ls -R $path 2>/dev/null; done; env; exit 3"

    with pytest.raises(BuildError) as failed:
        build(buildah, context, f"FROM {registry.name}/base:1\nRUN {search}\n")

    log = (context.directory / "build.log").read_text()
    assert "could not be built by buildah" in failed.value.message
    assert "dockerconfigjson" not in log
    assert LOGIN not in log
    assert_nothing_is_left(cluster)


def test_an_image_of_the_tool_that_is_not_there_says_so(
    make_build: Callable[..., JobContext], tool: Tool, cluster: TestCluster, registry: TestRegistry
) -> None:
    context = make_build(tool, image=f"{tool.image}-missing", no_progress_seconds=10)

    with pytest.raises(BuildError, match="its image cannot be pulled"):
        build(tool, context, f"FROM {registry.name}/base:1\nRUN true\n")

    assert_nothing_is_left(cluster)
