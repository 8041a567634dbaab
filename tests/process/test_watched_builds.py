"""A build that is watched from another host: its lines reach it through the queue server alone, then the output."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.test_image_builds import remove_images, settings
from tests.support.engine import TestEngine
from tests.support.python_image import import_python_image, without_settings_of_machine
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]

#: Longer than a launch without a terminal waits between two lines about the same phase.
STEPS = 14
DOCKERFILE = """FROM {image}
RUN python -c "import time; [print('step', n, flush=True) or time.sleep(1) for n in range({steps})]"
WORKDIR /code
COPY main.py ./
"""


@pytest.fixture
def testbed(tmp_path: Path, account: Account, engine: TestEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Testbed]:
    without_settings_of_machine(monkeypatch)
    image = import_python_image(engine)
    code = tmp_path / "code"
    code.mkdir()
    (code / "Dockerfile.wandb").write_text(DOCKERFILE.format(image=image, steps=STEPS))
    (code / "main.py").write_text("print('trained', flush=True)\n")
    with make_testbed(tmp_path, account, max_jobs=2, launchd=settings(engine, image)) as opened:
        yield opened
    engine.remove_containers()
    remove_images(engine)


def elsewhere(testbed: Testbed, *words: str) -> "subprocess.Popen[str]":
    """Start a command as on another host: another home, no agent and no journal, the server's address and a key."""
    home = testbed.directory / "elsewhere"
    home.mkdir(exist_ok=True)
    (home / "launch-config.yaml").write_text(
        f"queues: [x]\nlaunchd: {{state_dir: {home}/none, runtime_dir: {home}/none}}\n"
    )
    own = {
        "HOME": str(home),
        "WANDB_API_KEY": testbed.server.key,
        "WANDB_BASE_URL": testbed.server.url,
        "LAUNCHD_STATE_DIR": str(home / "none"),
    }
    command = [sys.executable, "-m", "launchd", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=os.environ | own, cwd=Path(__file__).parents[2], text=True, **pipes)


def test_the_lines_of_a_build_and_then_the_output_are_seen_from_another_host(testbed: Testbed) -> None:
    testbed.start_agent()

    code = str(testbed.directory / "code")
    with elsewhere(testbed, "launch", "-q", "default", "-r", "local-container", "--follow", code) as launching:
        assert launching.stdout is not None
        item = next(line.split()[1] for line in launching.stdout if line.startswith("Item "))
        configuration = str(testbed.directory / "elsewhere" / "launch-config.yaml")
        with elsewhere(testbed, "logs", "-c", configuration, "-f", item) as following:
            followed, told = following.communicate(timeout=180)
        launched, complaints = launching.communicate(timeout=30)

    assert (following.returncode, followed) == (0, "trained\n"), told
    steps = [line for line in told.splitlines() if line.startswith("[launchd: building: ") and " step " in line]
    assert len(steps) >= 3, told
    assert (launching.returncode, complaints) == (0, ""), launched
    doing = [line for line in launched.splitlines() if " building: " in line and "step" in line]
    assert doing, launched
    assert launched.index(doing[0]) < launched.index("trained\n")
