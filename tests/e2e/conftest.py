"""A running `launchd up` for each test, over a directory with a space in its name, as users have them."""

from collections.abc import Iterator

import pytest

from tests.support.local_stack import LocalStackProcess


@pytest.fixture
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStackProcess]:
    # Not `tmp_path`: with the name of a test in it the path of the control socket may be too long.
    running = LocalStackProcess(tmp_path_factory.mktemp("up") / "state of mine")
    # A proxy that nothing on this machine may go through: it does not answer.
    running.environ |= {"http_proxy": "http://127.0.0.1:9"}
    running.start()
    yield running
    if running.process.poll() is None:
        running.end()
