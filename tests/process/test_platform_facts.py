"""The facts of the platform that the processes' design rests on, each with the rule that follows from it."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psutil
import pytest

from ipc.bootstrap import fork_server_pid, spawn_worker, start_fork_server
from ipc.channel import ChannelClosed, SupervisorEnd, open_channel
from ipc.messages import Hello, SubmitApproved
from tests.support.channel_targets import LONG
from tests.support.waiting import wait_until

TARGETS = "tests.support.channel_targets"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def fork_server() -> None:
    start_fork_server([TARGETS])


def start(function: str) -> tuple[SupervisorEnd, ForkServerProcess]:
    end, worker_end = open_channel()
    process = spawn_worker(f"{TARGETS}:{function}", worker_end)
    end.close_peer_ends()
    return end, process


def receive(end: SupervisorEnd) -> Any:
    connection.wait([end.fileno()], 10)
    return end.receive()


def rest(end: SupervisorEnd) -> Iterator[Any]:
    try:
        while True:
            yield receive(end)
    except ChannelClosed:
        return


def kill_fork_server() -> None:
    """Kill it and see it dead: until then it is asked for workers, though it answers no more."""
    pid = fork_server_pid() or 0
    os.kill(pid, signal.SIGKILL)
    # It stays a zombie, for multiprocessing to find.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def hold_the_lock_and_die(queue: Any) -> None:
    queue._wlock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def put_and_exit(queue: Any) -> None:
    queue.put("x")
    os._exit(7)


def test_a_shared_queue_stays_locked_when_its_writer_is_killed() -> None:
    """Hence a private queue per worker and direction."""
    context = multiprocessing.get_context("fork")
    queue: Any = context.SimpleQueue()
    writer = context.Process(target=hold_the_lock_and_die, args=(queue,))
    writer.start()
    writer.join()
    assert not queue._wlock.acquire(timeout=0.3)


def test_a_queue_with_a_feeder_thread_loses_what_was_put_before_a_sudden_exit() -> None:
    """Hence synchronous sends only."""
    context = multiprocessing.get_context("fork")
    arrived = 0
    for _ in range(10):
        queue: Any = context.Queue()
        writer = context.Process(target=put_and_exit, args=(queue,))
        writer.start()
        writer.join()
        arrived += not queue.empty()
        queue.close()
    assert arrived < 10


def test_our_channel_keeps_what_was_sent_before_a_sudden_exit() -> None:
    end, process = start("say_hello_and_exit")
    process.join()
    assert isinstance(end.receive(), Hello)
    assert process.exitcode == 7


def test_what_was_sent_before_a_death_can_be_read_after_it_was_seen() -> None:
    """Hence on a death the queue is drained first, and then the exit judged."""
    end, process = start("say_hello_and_exit")
    connection.wait([process.sentinel], 10)
    assert process.exitcode == 7
    assert isinstance(end.receive(), Hello)
    with pytest.raises(ChannelClosed):
        end.receive()


def test_writers_killed_while_they_send_leave_whole_messages() -> None:
    """Hence a message fits into PIPE_BUF."""
    for _ in range(20):
        end, process = start("flood")
        for _ in range(random.randrange(1, 30)):
            assert receive(end) == LONG
        os.kill(process.pid or 0, signal.SIGKILL)
        assert all(event == LONG for event in rest(end))
        process.join()


@pytest.mark.parametrize(("target", "code"), [("crash", 1), ("segfault", -11)])
def test_a_death_has_its_exit_code(target: str, code: int) -> None:
    _, process = start(target)
    process.join()
    assert process.exitcode == code


def test_a_killed_worker_is_minus_nine_and_its_channel_closes() -> None:
    end, process = start("wait_for_command")
    assert isinstance(receive(end), Hello)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert process.exitcode == -9
    with pytest.raises(ChannelClosed):
        end.send(SubmitApproved("x"))


def test_when_the_fork_server_is_killed_living_workers_look_dead() -> None:
    """Hence exit code 255 means unknown, and such a worker is first made sure to be dead."""
    end, process = start("wait_for_command")
    assert isinstance(receive(end), Hello)
    kill_fork_server()
    connection.wait([process.sentinel], 10)
    assert process.exitcode == 255
    assert psutil.pid_exists(process.pid or 0)
    end.send(SubmitApproved("x"))
    wait_until(lambda: not psutil.pid_exists(process.pid or 0), what="the worker that was told to go on left")


def test_a_new_fork_server_takes_the_place_of_a_killed_one() -> None:
    kill_fork_server()
    end, process = start("wait_for_command")
    assert isinstance(receive(end), Hello)
    end.send(SubmitApproved("x"))
    process.join()
    assert process.exitcode == 0


def test_a_worker_sees_its_supervisors_death_though_it_is_the_fork_servers_child(tmp_path: Path) -> None:
    """Hence workers watch ``parent_process().sentinel``, not their parent's process id."""
    script = textwrap.dedent(f"""
        import os, signal
        from multiprocessing import connection
        from ipc.bootstrap import fork_server_pid, spawn_worker, start_fork_server
        from ipc.channel import open_channel
        if __name__ == "__main__":
            start_fork_server(["{TARGETS}"])
            end, worker_end = open_channel()
            spawn_worker("{TARGETS}:report_parents_death", worker_end)
            end.close_peer_ends()
            connection.wait([end.fileno()], 10)
            print(end.receive().message.split()[0], fork_server_pid(), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    path, fact = tmp_path / "supervisor.py", tmp_path / "fact"
    path.write_text(script)
    environ = os.environ | {"PYTHONPATH": str(ROOT), "FACT_FILE": str(fact)}
    done = subprocess.run(
        [sys.executable, str(path)], env=environ, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    workers_parent, fork_server_process = done.stdout.split()
    assert workers_parent == fork_server_process
    wait_until(fact.exists, what="the worker saw that its supervisor is gone")
