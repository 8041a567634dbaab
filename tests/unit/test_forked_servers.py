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


@pytest.mark.parametrize("named", ["LD_PRELOAD", "PYTHONASYNCIODEBUG"])
def test_what_an_interpreter_or_the_loader_reads_at_its_start_is_heard(tmp_path: Path, named: str) -> None:
    with running_server(tmp_path, environment={named: ""}) as server:
        assert f"{named}=" in Path(f"/proc/{server.process.pid}/environ").read_text().split("\0")


def test_it_may_be_asked_to_be_an_interpreter_of_its_own(tmp_path: Path) -> None:
    with running_server(tmp_path, apart=True) as server:
        assert "launchd.server" in psutil.Process(server.process.pid).cmdline()
