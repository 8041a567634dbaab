"""What tests with real processes share."""

from pathlib import Path

import pytest

from tests.support.gate import Gate


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """Jobs wait at it until the test opens it."""
    return Gate(tmp_path / "gate")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory of the host that jobs may write to."""
    path = tmp_path / "shared"
    path.mkdir()
    return path
