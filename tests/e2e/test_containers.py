"""Containers through `launchd up`, which grants them where an engine answers, by commands alone."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.e2e.test_jobs import launched
from tests.support.engine import BASE_IMAGE, TestEngine
from tests.support.local_stack import LocalStackProcess
from tests.support.python_image import import_python_image

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]


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


def test_the_readmes_example_says_which_image_is_missing_and_runs_where_it_is_there(
    up_with_engine: LocalStackProcess, engine: TestEngine, tmp_path: Path
) -> None:
    """From a clone of the last commit, on an engine that reaches no registry."""
    up = up_with_engine
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    words = ("launch", "-r", "local-container", str(tmp_path / "clone" / "examples" / "hello"))
    base = f"python:{sys.version_info.major}.{sys.version_info.minor}-bookworm"

    missing = up.run(*words)
    assert missing.returncode == 1
    assert base in missing.stderr.decode()

    with engine.client() as client:
        client.tag(import_python_image(engine), *base.split(":"))
    try:
        assert launched(up, *words[1:]).startswith("Hello from ")
    finally:
        with engine.client() as client:
            client.remove_image(base, force=True)


def test_without_an_engine_none_are_granted(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    up: LocalStackProcess = request.getfixturevalue("up")

    assert granted(up) == ["local-process"]
    assert "run an image" not in up.said()
    failed = up.run("launch", "-d", BASE_IMAGE, "-r", "local-container")
    assert b"The resource local-container is not granted on this host" in failed.stderr
