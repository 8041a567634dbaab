"""The processes of an agent that ask clouds for all of its workers: found by their titles, and ended by tests."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.support.processes import children_of, command_line
from tests.support.testbed import Testbed
from tests.support.waiting import wait_until
from workers.aws import requests as aws_requests
from workers.aws.service import Sessions as AwsSessions
from workers.gcp import requests as gcp_requests
from workers.gcp.service import Sessions as GcpSessions
from workers.request_service import RequestServer

AWS = "launchd: requests to AWS"
GOOGLE_CLOUD = "launchd: requests to Google Cloud"


def service_of(opened: Testbed, title: str) -> psutil.Process:
    """Return the process of this title, once it is there."""
    found: list[psutil.Process] = []

    def is_there() -> bool:
        everyone = children_of(opened.agent_pid, all_below=True)
        found[:] = [one for one in everyone if command_line(one).startswith(title)]
        return bool(found)

    wait_until(is_there, 60, f"there is a process {title!r}")
    return found[0]


@contextmanager
def dying_again_and_again(opened: Testbed, title: str, seconds: float) -> Iterator[list[int]]:
    """Kill the process of this title every ``seconds``, as a context; yields the numbers of those that were killed."""
    killed: list[int] = []
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(seconds):
            with suppress(psutil.NoSuchProcess):
                victim = service_of(opened, title)
                victim.send_signal(signal.SIGKILL)
                killed.append(victim.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        ended.set()
        killer.join()


def workers_with_jobs(opened: Testbed) -> list[psutil.Process]:
    """Return the workers that have jobs of the queue ``default``."""
    return [one for one in children_of(opened.agent_pid, all_below=True) if "worker default/" in command_line(one)]


@contextmanager
def serving_here(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the processes do, in threads of this one, as a context: workers here ask over their sockets."""
    aws, gcp = directory / "aws.sock", directory / "gcp.sock"
    with RequestServer(aws, AwsSessions().answer), RequestServer(gcp, GcpSessions().answer):
        monkeypatch.setattr(aws_requests, "find_service", lambda _: str(aws))
        monkeypatch.setattr(gcp_requests, "find_service", lambda _: str(gcp))
        yield
