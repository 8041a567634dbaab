"""What tests of builds in pods share: a stand-in for the cluster, a registry, and a program in the place of kaniko."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import playing_kaniko
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tests.support.registries import TestRegistry, require, running_registry
from tests.support.waiting import wait_until


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with fake_kubernetes() as running:
        yield running


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestRegistry]:
    """Where the images go. Skips where there is none."""
    require("docker-registry")
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def kaniko_shape(directory: Path, mode: str) -> dict[str, Any]:
    """Return the part of a build's Job that has a program play kaniko; ``mode`` is the program's."""
    command = [sys.executable, playing_kaniko.__file__, str(directory / "builds"), mode]
    return {"spec": {"template": {"spec": {"containers": [{"command": command}]}}}}


def builds(directory: Path) -> list[str]:
    """Return the builds that the program began: the image and the context of each."""
    path = directory / "builds"
    return path.read_text().splitlines() if path.exists() else []


def assert_nothing_is_left(cluster: FakeKubernetes, images: Path, namespace: str = "default") -> None:
    """Wait until neither the cluster nor the agent's directory of images has anything of a build."""
    for plural in ("jobs", "pods", "secrets"):
        wait_until(lambda: cluster.objects(plural, namespace) == [], 20, f"no {plural} are left")  # noqa: B023
    assert list((images / "pod-builds").glob("*.json")) == []
