"""A running `launchd up` for each test, over a directory with a space in its name, as users have them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.local_stack import LocalStackProcess


@pytest.fixture
def up(tmp_path: Path) -> Iterator[LocalStackProcess]:
    running = LocalStackProcess(tmp_path / "state of mine")
    running.start()
    yield running
    if running.process.poll() is None:
        running.end()
