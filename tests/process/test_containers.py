"""Jobs with images, from the command line to the end of their containers: real engine, agent and queue server."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import BASE_IMAGE, TestEngine
from tests.support.server import Account
from tests.support.testbed import QUICK, Testbed, make_testbed

pytestmark = pytest.mark.engine


@pytest.fixture
def testbed(tmp_path: Path, account: Account, engine: TestEngine) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account, launchd=settings(engine)) as opened:
        yield opened
    engine.remove_containers()


def settings(engine: TestEngine, **containers: Any) -> dict[str, Any]:
    return {
        "docker": {"host": engine.address},
        "policy": {"resources": ["local-container"], "containers": containers},
        "supervision": QUICK,
    }


def launchd(testbed: Testbed, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``launchd`` as a person does."""
    command = [sys.executable, "-m", "launchd", *words, "--url", testbed.server.url]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def outputs(testbed: Testbed) -> list[str]:
    """Return the output of each job of the agent."""
    return [path.read_text() for path in sorted(testbed.state_dir.glob("jobs/*/output.log"))]


def test_an_image_is_launched_and_followed_to_its_end(
    testbed: Testbed, engine: TestEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", testbed.server.key)
    testbed.start_agent()

    words = ("launch", "-d", BASE_IMAGE, "-r", "local-container", "-E", "sh -c 'echo hello from $FROM_IMAGE'")
    done = launchd(testbed, *words)

    assert done.returncode == 0, done.stderr
    assert outputs(testbed) == ["hello from 1\n"]
    assert engine.containers() == {}
