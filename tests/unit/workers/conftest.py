"""A job as its phases see it, and where its source comes from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.azure import Azure, azure
from tests.support.git_origin import Origin
from tests.support.job_contexts import context, heard, make_context
from tests.support.server import RunningServer

__all__ = ["context", "heard", "make_context"]


@pytest.fixture
def microsoft(monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """Azure as the host's variables name it."""
    with azure() as server:
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin")


@pytest.fixture
def server(queue_server: RunningServer) -> RunningServer:
    return queue_server
