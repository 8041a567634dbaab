"""Processes told apart by more than their id."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from tests.support.waiting import wait_until
from workers import processes


@contextmanager
def shell(script: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a shell that says when it is ready, until the end of the block."""
    process = subprocess.Popen(
        ["sh", "-c", f"{script} echo ready; read line"],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_process_is_known_by_its_start_too() -> None:
    with shell("") as process:
        key = processes.key_of(process.pid)
        assert key is not None
        assert processes.is_alive(key)

        earlier = msgspec.structs.replace(key, started=key.started - 1)
        assert not processes.is_alive(earlier)
        assert not processes.send_signal(earlier, signal.SIGKILL)
        assert processes.open_pidfd(earlier) is None
        assert not processes.is_alive(msgspec.structs.replace(key, boot="another boot"))

        assert processes.send_signal(key, signal.SIGKILL)
        wait_until(lambda: not processes.is_alive(key), what="the end of the process")


def test_a_process_that_ended_and_was_not_waited_for_is_not_alive() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    wait_until(lambda: processes.key_of(pid) is None, what="the end of the child")

    assert processes.key_of_child(pid).pid == pid
    os.waitpid(pid, 0)


def test_a_name_with_parentheses_confuses_nobody() -> None:
    with shell("exec 2>&-; printf 'evil) Z 1 (x' > /proc/$$/comm;") as process:
        assert processes.key_of(process.pid) is not None


def test_descendants_are_found_however_deep() -> None:
    with shell("sh -c 'sleep 60 & sleep 60 & wait' &") as process:
        wait_until(lambda: len(processes.descendants([process.pid])) == 3, what="the grandchildren")

        assert process.pid not in processes.descendants([process.pid])


def test_processes_are_found_by_a_variable() -> None:
    with shell("", TEST_MARK="one") as one, shell("", TEST_MARK="one more") as other:
        found = processes.with_variable("TEST_MARK", "one")

        assert one.pid in found
        assert other.pid not in found


def test_killing_who_is_gone_is_no_error() -> None:
    with shell("") as process:
        pid = process.pid
    processes.kill([pid], signal.SIGKILL)
