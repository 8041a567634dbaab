"""From source code to a Job whose image was built in a pod: real agent, queue server and registry, a stand-in cluster.

kaniko's image cannot be had where tests run, so its Job runs a program that pushes an image. Whatever dies in between,
an image is built once, and neither Jobs nor Secrets nor files of a build are left.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.failpoints import FAILPOINTS
from tests.process.test_image_builds import areas, directory_of, output, upload
from tests.support.fake_kubernetes import FakeKubernetes
from tests.support.pod_builds import assert_nothing_is_left, builds, cluster, kaniko_shape, registry
from tests.support.registries import TestRegistry
from tests.support.server import Account
from tests.support.testbed import QUICK, Testbed, make_testbed
from tests.support.waiting import wait_until

__all__ = ["cluster", "registry"]

Configure = Callable[..., None]


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account) as opened:
        yield opened


@pytest.fixture
def configure(testbed: Testbed, cluster: FakeKubernetes, registry: TestRegistry, tmp_path: Path) -> Configure:
    """Writes the configuration; ``mode`` is that of the builds."""

    def write(mode: str = "push", builds: dict[str, Any] | None = None, **builder: Any) -> None:
        ours = {
            "kubernetes": {"config_file": str(cluster.write_config(tmp_path / "kubeconfig")), "builds": builds or {}},
            "policy": {"resources": ["kubernetes"]},
            "jobs": {"stop_grace_seconds": 1.0},
            "supervision": QUICK,
        }
        own = {
            "type": "kaniko",
            "destination": f"{registry.name}/team/images",
            "kaniko-config": kaniko_shape(tmp_path, mode),
        }
        testbed.configure(max_jobs=4, launchd=ours, builder=own | builder)

    return write


def push(testbed: Testbed, tmp_path: Path, text: str = "hello") -> str:
    uri = upload(testbed, tmp_path / "code", {"main.py": text})
    return testbed.push("sh", "-c", "echo it ran", uri=uri, resource="kubernetes")


def build_jobs(cluster: FakeKubernetes) -> list[str]:
    """Return under which names builds were created in the cluster."""
    return [name for name in cluster.created if name.startswith("jobs/wandb-launch-container-build-")]


def ended(testbed: Testbed, *items: str) -> list[tuple[str, str]]:
    return [(item.state, item.message or "") for item in testbed.wait_over(items, 60)]


def assert_all_is_gone(testbed: Testbed, cluster: FakeKubernetes) -> None:
    assert_nothing_is_left(cluster, testbed.state_dir / "images")
    assert areas(testbed) == []


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
    assert_all_is_gone(testbed, cluster)


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
    assert_all_is_gone(testbed, cluster)


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
    """Two jobs of one image: it is built once, unless the worker itself ended the build before the image was there."""
    fired = tmp_path / "fired"
    fired.mkdir()
    configure("slow")
    testbed.start_agent(LAUNCHD_FAILPOINTS=f"{failpoint}={action}", LAUNCHD_FAILPOINTS_ONCE=str(fired))

    items = [push(testbed, tmp_path, f"{failpoint} {action}") for _ in range(2)]

    wait_until((fired / failpoint).exists, 40, f"the failpoint {failpoint}")
    assert ended(testbed, *items) == [("FINISHED", "")] * 2
    is_built_twice = action == "raise" and failpoint in ("pod_build.created", "pod_build.watched")
    # The first of two may have been removed before its program began.
    assert sum(cluster.created[name] for name in build_jobs(cluster)) == (2 if is_built_twice else 1)
    assert 1 <= len(builds(tmp_path)) <= (2 if is_built_twice else 1)
    assert_all_is_gone(testbed, cluster)


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
    assert_all_is_gone(testbed, cluster)
