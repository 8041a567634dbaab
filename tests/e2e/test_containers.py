"""Containers through `launchd up`, which grants them where an engine answers, by commands alone."""

from pathlib import Path

import pytest
import yaml

from tests.e2e.test_jobs import launched
from tests.support.engine import BASE_IMAGE, TestEngine
from tests.support.local_stack import LocalStackProcess

pytestmark = pytest.mark.engine


@pytest.fixture
def up_with_engine(
    engine: TestEngine, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> LocalStackProcess:
    """`launchd up`, started where an engine answers."""
    monkeypatch.setenv("DOCKER_HOST", engine.address)
    up: LocalStackProcess = request.getfixturevalue("up")
    return up


def granted(up: LocalStackProcess) -> list[str]:
    (configuration,) = up.directory.rglob("launch-config.yaml")
    resources: list[str] = yaml.safe_load(configuration.read_text())["launchd"]["policy"]["resources"]
    return resources


def test_an_image_and_an_image_of_code_are_run(up_with_engine: LocalStackProcess, tmp_path: Path) -> None:
    up = up_with_engine
    code = tmp_path / "code"
    (code / "docker").mkdir(parents=True)
    (code / "docker" / "Dockerfile.mine").write_text(f"FROM {BASE_IMAGE}\nCOPY words /words\nENV MADE=1\n")
    (code / "docker" / "words").write_text("of the build context\n")

    assert "run an image" in up.said()
    assert launched(up, "-d", BASE_IMAGE, "-r", "local-container", "--", "echo", "hello") == "hello"
    words = ("-b", "docker", "-D", "Dockerfile.mine", "-E", "sh -c 'echo $MADE; cat /words'", "-r", "local-container")
    assert launched(up, str(code), *words) == "1\nof the build context"


def test_without_an_engine_none_are_granted(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    up: LocalStackProcess = request.getfixturevalue("up")

    assert granted(up) == ["local-process"]
    assert "run an image" not in up.said()
    failed = up.run("launch", "-d", BASE_IMAGE, "-r", "local-container")
    assert b"The resource local-container is not granted on this host" in failed.stderr
