"""Processes that flee from a build backend or a job: by ``setsid``, a double fork, an environment of their own."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.control_groups import delegated_group
from tests.support.git_origin import Origin
from tests.support.processes import command_line, is_gone
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

#: Starts a daemon of another session, without environment, directory and output of what started it, and notes it.
DAEMON = """
import os, sys
def flee(noted):
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        os.read(reader, 1)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    with open(noted + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(noted + ".new", noted)
    os.closerange(0, 64)
    os.execve("/bin/sleep", ["sleep", "600"], {})
"""

#: A build backend that starts one, then builds nothing: it ends, fails or hangs.
BACKEND = f"""
import time
{DAEMON}
def _build(*_):
    flee(NOTED)
    END
get_requires_for_build_wheel = get_requires_for_build_editable = build_wheel = build_editable = _build
prepare_metadata_for_build_wheel = _build
"""

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "hostile"
version = "1"
"""


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account) as opened:
        yield opened


@pytest.fixture
def groups() -> Iterator[Path]:
    with delegated_group() as path:
        yield path


@pytest.fixture
def grouped(tmp_path: Path, account: Account, groups: Path) -> Iterator[Testbed]:
    """A testbed whose jobs have control groups."""
    with make_testbed(tmp_path, account, launchd={"jobs": {"control_group": str(groups)}}) as opened:
        yield opened


@pytest.fixture
def noted(tmp_path: Path) -> Iterator[Path]:
    """Where the daemon notes itself; it is gone after the test in any case."""
    path = tmp_path / "daemon"
    yield path
    if path.exists():
        try:
            os.kill(int(path.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            return


def hostile_repository(directory: Path, noted: Path, end: str) -> str:
    origin = Origin(directory / "hostile")
    library = origin.path / "library"
    library.mkdir()
    (library / "pyproject.toml").write_text(PROJECT)
    (library / "backend.py").write_text(BACKEND.replace("NOTED", repr(str(noted))).replace("END", end))
    (origin.path / "requirements.txt").write_text("./library\n")
    origin.commit("print('ran')")
    return f"file://{origin.path}"


def flight(noted: Path, end: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"{DAEMON}\nimport time\nflee({str(noted)!r})\n{end}")


def daemon_of(noted: Path) -> int:
    wait_until(noted.exists, 30.0, "the daemon")
    return int(noted.read_text())


def worker_of(testbed: Testbed) -> psutil.Process:
    return titled(testbed, "launchd: worker default/")


def titled(testbed: Testbed, title: str) -> psutil.Process:
    [found] = titles(testbed, title)
    return found


def titles(testbed: Testbed, title: str) -> list[psutil.Process]:
    return [process for process in testbed.processes() if command_line(process).startswith(title)]


def monitor_of(worker: psutil.Process) -> psutil.Process:
    [monitor] = [child for child in worker.children() if "-S" in command_line(child)]
    return monitor


def test_a_daemon_of_a_build_backend_is_gone_with_the_outcome(testbed: Testbed, noted: Path) -> None:
    url = hostile_repository(testbed.directory, noted, "raise SystemExit(3)")
    testbed.start_agent()

    item = testbed.push(git={"repo": url, "version": None})

    assert testbed.wait_over([item])[0].state == "FAILED"
    assert is_gone(daemon_of(noted))


def test_a_daemon_of_a_build_backend_is_gone_after_a_stop(testbed: Testbed, noted: Path) -> None:
    url = hostile_repository(testbed.directory, noted, "time.sleep(600)")
    testbed.start_agent()
    item = testbed.push(git={"repo": url, "version": None})
    daemon = daemon_of(noted)

    testbed.ask(command="stop", item=item, reason="of the test")

    assert testbed.wait_over([item])[0].state == "STOPPED"
    assert is_gone(daemon)


def test_a_daemon_of_a_build_backend_goes_with_a_killed_worker(testbed: Testbed, noted: Path) -> None:
    url = hostile_repository(testbed.directory, noted, "time.sleep(600)")
    testbed.start_agent()
    item = testbed.push(git={"repo": url, "version": None})
    daemon = daemon_of(noted)
    noted.unlink()

    worker_of(testbed).kill()

    wait_until(lambda: is_gone(daemon), what="the daemon is gone")
    # The next worker builds anew, and its daemon goes with the stop.
    second = daemon_of(noted)
    testbed.ask(command="stop", item=item, reason="of the test")
    testbed.wait_over([item])
    assert is_gone(second)


def test_a_daemon_of_a_job_is_gone_with_the_outcome(testbed: Testbed, noted: Path) -> None:
    testbed.start_agent()

    item = testbed.push(*flight(noted, "pass"))

    assert testbed.wait_over([item])[0].state == "FINISHED"
    assert is_gone(daemon_of(noted))


def test_a_daemon_of_a_job_is_gone_after_a_stop(testbed: Testbed, noted: Path) -> None:
    testbed.start_agent()
    item = testbed.push(*flight(noted, "time.sleep(600)"))
    daemon = daemon_of(noted)

    testbed.ask(command="stop", item=item, reason="of the test")

    assert testbed.wait_over([item])[0].state == "STOPPED"
    assert is_gone(daemon)


@pytest.mark.root
def test_a_group_holds_the_daemon_of_a_job_whose_monitors_were_all_killed(grouped: Testbed, noted: Path) -> None:
    agent = grouped.start_agent()
    item = grouped.push(*flight(noted, "time.sleep(600)"))
    daemon = daemon_of(noted)

    agent.kill()
    wait_until(lambda: not titles(grouped, "launchd: worker"), what="the workers have left")
    titled(grouped, "launchd: shim launchd-").kill()
    assert not is_gone(daemon)
    grouped.start_agent()

    assert grouped.wait_over([item])[0].state == "FAILED"
    assert is_gone(daemon)


@pytest.mark.root
def test_a_group_holds_the_daemon_of_a_tool_whose_monitors_were_all_killed(grouped: Testbed, noted: Path) -> None:
    url = hostile_repository(grouped.directory, noted, "time.sleep(600)")
    grouped.start_agent()
    item = grouped.push(git={"repo": url, "version": None})
    daemon = daemon_of(noted)
    noted.unlink()
    worker = worker_of(grouped)
    monitor = monitor_of(worker)
    worker.suspend()

    monitor.kill()
    worker.kill()

    wait_until(lambda: is_gone(daemon), 20.0, what="the daemon is gone")
    daemon_of(noted)
    grouped.ask(command="stop", item=item, reason="of the test")
    grouped.wait_over([item])


@pytest.mark.root
def test_no_group_is_left_of_a_job_that_ended(grouped: Testbed, groups: Path, noted: Path) -> None:
    grouped.start_agent()

    item = grouped.push(*flight(noted, "pass"))

    assert grouped.wait_over([item])[0].state == "FINISHED"
    assert is_gone(daemon_of(noted))
    left = [path.name for path in groups.glob("agent-*/*") if path.is_dir()]
    assert left == ["shims"]
