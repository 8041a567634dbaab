"""A shim forked ahead of time: it waits for its launch request, and ends without a trace when none comes.

Forked while the worker has no threads yet and everything is imported, so that
a start costs neither a new interpreter nor a fork of a process with threads.
"""

import gc
import os
import signal
import socket
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec
import setproctitle

from ipc.job_files import WORKER_LOG_FILE
from workers.processes import key_of_child, send_signal
from workers.shim.launcher import Launcher
from workers.shim.messages import LaunchReply, ShimLaunchRequest, launch_decoder, reply_decoder

_RECEIVE_BYTES = 256 * 1024


class PreforkedShim:
    """The worker's side of a shim that has no launch yet."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self._key = key_of_child(pid)
        self._connection = connection

    def launch(self, launch: ShimLaunchRequest, timeout: float) -> LaunchReply | None:
        """Send it its job and return its answer; ``None`` when it died or did not answer within ``timeout`` seconds.

        A shim that did not answer is dead afterwards: what it got done is on disk.
        """
        try:
            self._connection.settimeout(timeout)
            self._connection.sendall(msgspec.json.encode(launch))
            self._connection.shutdown(socket.SHUT_WR)
            answer = _receive_all(self._connection)
        except OSError:
            answer = b""
        if not answer:
            self.discard()
            return None
        self._connection.close()
        return reply_decoder.decode(answer)

    def discard(self) -> None:
        """End it: it is not needed, or does not answer."""
        self._connection.close()
        send_signal(self._key, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._key.pid, 0)


def prefork_shim() -> PreforkedShim:
    """Fork a shim; it ends by itself when this process does before launching it."""
    mine, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        _be_shim(theirs)
    theirs.close()
    return PreforkedShim(pid, mine)


def _be_shim(connection: socket.socket) -> NoReturn:
    try:
        _leave_worker(connection.fileno())
        _wait_and_run(connection)
    except BaseException:  # noqa: BLE001 (nothing may reach the worker's code further up this stack)
        traceback.print_exc()
    finally:
        os._exit(1)


def _leave_worker(connection: int) -> None:
    """Give up all that is shared with the worker: its session, its descriptors, its garbage, its working directory."""
    os.setsid()
    # The worker's objects must never be collected here: they would close descriptors that by now are the shim's.
    gc.disable()
    gc.freeze()
    os.closerange(3, connection)
    os.closerange(connection + 1, os.sysconf("SC_OPEN_MAX"))
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    os.chdir("/")
    setproctitle.setproctitle("launchd: shim idle")


def _belong_to(launch: ShimLaunchRequest) -> None:
    """Take the job's name as the process title, and its worker's log for standard output and error."""
    setproctitle.setproctitle(f"launchd: shim {launch.name}")
    with suppress(OSError):
        # The worker's log, which a shim writes to only when it fails in an unexpected way.
        log = os.open(Path(launch.directory) / WORKER_LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)


def _wait_and_run(connection: socket.socket) -> None:
    start = Launcher()
    try:
        launch = launch_decoder.decode(_receive_all(connection))
    except (OSError, msgspec.DecodeError):
        return  # The worker is gone, perhaps in the middle of the request: there is nothing to do.
    _belong_to(launch)

    def answer(reply: LaunchReply) -> None:
        # The worker may have died meanwhile; the job goes on.
        with suppress(OSError):
            connection.sendall(msgspec.json.encode(reply))
        connection.close()

    start.run(launch, answer)


def _receive_all(connection: socket.socket) -> bytes:
    chunks = []
    while chunk := connection.recv(_RECEIVE_BYTES):
        chunks.append(chunk)
    return b"".join(chunks)
