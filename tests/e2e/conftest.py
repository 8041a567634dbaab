"""A running `launchd up` for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.up import Up


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path / "up")
    running.start()
    yield running
    if running.process.poll() is None:
        running.end()
