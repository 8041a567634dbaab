"""From source code to a Job whose image was built in a pod: real agent, queue server and registry, a stand-in cluster.

kaniko's image cannot be had where tests run, so its Job runs a program that pushes an image. Whatever dies in between,
an image is built once, and neither Jobs nor Secrets nor files of a build are left.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.failpoints import FAILPOINTS
from tests.process.test_image_builds import areas, directory_of, output, upload
from tests.support import playing_kaniko
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tests.support.registries import TestRegistry, require, running_registry
from tests.support.server import Account
from tests.support.testbed import QUICK, Testbed, make_testbed
from tests.support.waiting import wait_until

Configure = Callable[..., None]


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with fake_kubernetes() as running:
        yield running


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestRegistry]:
    require("docker-registry")
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account) as opened:
        yield opened


@pytest.fixture
def configure(testbed: Testbed, cluster: FakeKubernetes, registry: TestRegistry, tmp_path: Path) -> Configure:
    """Writes the configuration; ``mode`` is that of the builds."""

    def write(mode: str = "push", builds: dict[str, Any] | None = None, **builder: Any) -> None:
        command = [sys.executable, playing_kaniko.__file__, str(tmp_path / "builds"), mode]
        shape = {"spec": {"template": {"spec": {"containers": [{"command": command}]}}}}
        ours = {
            "kubernetes": {"config_file": str(cluster.write_config(tmp_path / "kubeconfig")), "builds": builds or {}},
            "policy": {"resources": ["kubernetes"]},
            "jobs": {"stop_grace_seconds": 1.0},
            "supervision": QUICK,
        }
        own = {"type": "kaniko", "destination": f"{registry.name}/team/images", "kaniko-config": shape}
        testbed.configure(max_jobs=4, launchd=ours, builder=own | builder)

    return write


def push(testbed: Testbed, tmp_path: Path, text: str = "hello") -> str:
    uri = upload(testbed, tmp_path / "code", {"main.py": text})
    return testbed.push("sh", "-c", "echo it ran", uri=uri, resource="kubernetes")


def builds(tmp_path: Path) -> list[str]:
    """Return the builds that were begun."""
    path = tmp_path / "builds"
    return path.read_text().splitlines() if path.exists() else []


def ended(testbed: Testbed, *items: str) -> list[tuple[str, str]]:
    return [(item.state, item.message or "") for item in testbed.wait_over(items, 60)]


def assert_nothing_is_left(testbed: Testbed, cluster: FakeKubernetes) -> None:
    for plural in ("jobs", "pods", "secrets"):
        wait_until(lambda: cluster.objects(plural) == [], 20, f"no {plural} are left")  # noqa: B023 - it is waited for
    assert areas(testbed) == []
    assert list((testbed.state_dir / "images" / "pod-builds").glob("*.json")) == []


def test_code_is_built_in_a_pod_and_the_second_launch_builds_nothing(
    testbed: Testbed, cluster: FakeKubernetes, configure: Configure, tmp_path: Path
) -> None:
    configure()
    testbed.start_agent()

    first = push(testbed, tmp_path, "1")
    assert ended(testbed, first) == [("FINISHED", "")]
    second = push(testbed, tmp_path, "1")
    assert ended(testbed, second) == [("FINISHED", "")]

    assert [output(testbed, item) for item in (first, second)] == ["it ran\n"] * 2
    assert len(builds(tmp_path)) == 1
    assert "INFO pushed" in (directory_of(testbed, first) / "build.log").read_text()
    assert_nothing_is_left(testbed, cluster)


def test_a_build_that_is_stopped_leaves_nothing(
    testbed: Testbed, cluster: FakeKubernetes, configure: Configure, tmp_path: Path
) -> None:
    configure("hang")
    testbed.start_agent()
    item = push(testbed, tmp_path, "4")
    wait_until(lambda: builds(tmp_path), 30, "the build has begun")

    assert testbed.ask(command="stop", item=item)["ok"]

    ((state, _),) = ended(testbed, item)
    assert state in ("STOPPED", "FAILED")
    assert_nothing_is_left(testbed, cluster)


def deaths() -> Iterator[Any]:
    for failpoint in (name for name in FAILPOINTS if name.startswith("pod_build.")):
        for action in ("kill", "stop", "exit", "raise"):
            is_short = action == "kill" and failpoint == "pod_build.watched"
            yield pytest.param(failpoint, action, marks=[] if is_short else pytest.mark.long)


@pytest.mark.parametrize(("failpoint", "action"), list(deaths()))
def test_a_worker_may_die_anywhere(
    testbed: Testbed,
    cluster: FakeKubernetes,
    configure: Configure,
    tmp_path: Path,
    failpoint: str,
    action: str,
) -> None:
    """Two jobs of one image: it is built once, unless the worker itself ended the build before it left."""
    fired = tmp_path / "fired"
    fired.mkdir()
    configure("slow")
    testbed.start_agent(LAUNCHD_FAILPOINTS=f"{failpoint}={action}", LAUNCHD_FAILPOINTS_ONCE=str(fired))

    items = [push(testbed, tmp_path, f"{failpoint} {action}") for _ in range(2)]

    wait_until((fired / failpoint).exists, 40, f"the failpoint {failpoint}")
    assert ended(testbed, *items) == [("FINISHED", "")] * 2
    assert len(builds(tmp_path)) == (2 if action == "raise" and failpoint != "pod_build.announced" else 1)
    assert_nothing_is_left(testbed, cluster)


@pytest.mark.long
def test_a_build_outlives_its_supervisor(
    testbed: Testbed, cluster: FakeKubernetes, configure: Configure, tmp_path: Path
) -> None:
    configure("slow")
    agent = testbed.start_agent()
    item = push(testbed, tmp_path, "7")
    wait_until(lambda: builds(tmp_path), 30, "the build has begun")

    agent.kill()
    testbed.start_agent()

    assert ended(testbed, item) == [("FINISHED", "")]
    assert len(builds(tmp_path)) == 1
    assert_nothing_is_left(testbed, cluster)
