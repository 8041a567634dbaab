"""The Python in the documentation does what it says: each example is a program, and prints what it promises."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import Program, program
from tests.support.server import RunningServer
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs" / "python-api.md", ROOT / "README.md")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROMISE = re.compile(r"#  ?-> (.*)$", re.MULTILINE)
END_SECONDS = 45.0

EXAMPLES = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(BLOCK.findall(page.read_text()), 1)
]


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory, queue_server: RunningServer) -> Iterator[Testbed]:
    with make_testbed(tmp_path_factory.mktemp("testbed"), queue_server.account()) as opened:
        opened.start_agent()
        yield opened


@pytest.fixture
def environ(testbed: Testbed, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return {
        "WANDB_BASE_URL": testbed.server.url,
        "WANDB_API_KEY": testbed.server.key,
        "LAUNCHD_STATE_DIR": str(tmp_path / "state"),
        "HOME": str(tmp_path),
    }


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_does_what_it_says(example: str, testbed: Testbed, environ: dict[str, str], tmp_path: Path) -> None:
    with program(example, tmp_path, environ) as running:
        if ".loop()" in example:
            send_away(testbed, running)
        assert running.wait() == 0, running.text()

    rest = running.text()
    for promise in PROMISE.findall(example):
        _, found, rest = rest.partition(promise)
        assert found, (promise, running.text())


def send_away(testbed: Testbed, running: Program) -> None:
    """End the agents that the example started."""
    ours = testbed.status()["agent"]["id"]

    def others() -> list[str]:
        return [one.id for one in testbed.client.agents(testbed.entity) if one.id != ours and one.status != "KILLED"]

    wait_until(lambda: others() or running.process.poll() is not None, END_SECONDS, "an agent came")
    running.wait_for("polling")
    for agent in others():
        testbed.client.stop_agent(agent)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 8
    assert all("# ->" in str(example.values[0]) for example in EXAMPLES)
