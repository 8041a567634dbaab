"""What tests with real processes share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gate import Gate
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    """An agent's host with two slots, whose jobs have half a second to end when they are stopped."""
    with make_testbed(tmp_path, account, max_jobs=2, launchd={"jobs": {"stop_grace_seconds": 0.5}}) as opened:
        yield opened


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
