"""What tests of several runners have in common."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.request_services import serving_here


@pytest.fixture(params=["sdk", "service"])
def way_to_the_cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each test twice: with the SDK in the worker, and through the process that asks for all of them."""
    way: str = request.param
    if way == "sdk":
        yield way
        return
    # Not below the test's own: the name of a socket is short.
    with tempfile.TemporaryDirectory() as directory, serving_here(Path(directory), monkeypatch):
        yield way
