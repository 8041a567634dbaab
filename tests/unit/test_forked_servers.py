"""A forked server ends as a process of its own does, for whoever waits for it."""

import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.forked_servers import ForkedServer
from tests.support.server import running_server


def test_it_ends_as_a_process_does(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        process = server.process
        assert isinstance(process, ForkedServer)
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)

        assert server.stop() == 0
        assert process.poll() == 0
        server.start()
        server.kill()

        assert server.process.returncode == -signal.SIGKILL
        assert not psutil.pid_exists(process.pid)
