"""Queue servers that are forks of one process of the tests, which has imported what a server needs.

Nine tenths of what the start of a server costs is the import of its packages. A fork is a process like any other: it is
killed, stopped and looked at as one. What only an interpreter of its own shows is left to servers that begin with
nothing (`running_server(empty=True)`), to those that are asked for (`apart=True`) and to `launchd server`.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any

#: The command of a server, and what that imports when it begins to listen.
COMMAND = "launchd.server.__main__"
LATER = ("uvloop", "httptools", "h11", "uvicorn.lifespan.on", "psycopg", "sqlalchemy.dialects.postgresql.psycopg")
#: A request, with the environment in it, is no longer than this.
MOST_BYTES = 200_000
STREAMS = 2
#: Longest time, in seconds, in which a process that was told to end by itself does so.
END_SECONDS = 10.0


class ForkedServer:
    """A server, with the part of `subprocess.Popen` that tests use. Its parent is not this process."""

    def __init__(self, pid: int, stdout: IO[str], ended: int) -> None:
        self.pid = pid
        self.stdout: IO[str] | None = stdout
        self._ended = ended
        self._lock = threading.Lock()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns the exit code. Raises `subprocess.TimeoutExpired`."""
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"queue server {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _wait(self, timeout: float | None) -> int | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = None if deadline is None else deadline - time.monotonic()
            with self._lock, selectors.DefaultSelector() as selector:
                if self.returncode is not None:
                    break
                selector.register(self._ended, selectors.EVENT_READ)
                # Others may ask as well, so that nobody keeps the lock for long.
                if selector.select(0 if left is None or left <= 0 else min(left, 0.05)):
                    self.returncode = int(os.read(self._ended, 20))
                    os.close(self._ended)
            if left is not None and left <= 0:
                break
        return self.returncode


class Forks:
    """The process that servers are forks of. It ends with the other end of its socket."""

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with closing(theirs):
            command = [sys.executable, "-m", __name__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def start(self, arguments: Sequence[str], stderr: IO[str], environ: Mapping[str, str]) -> ForkedServer:
        """Start a server with these arguments of its command, in this environment."""
        request = {"arguments": list(arguments), "environ": dict(environ), "directory": str(Path.cwd())}
        stdout, their_stdout = os.pipe()
        ended, tells_end = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._link, [json.dumps(request).encode()], [tells_end, their_stdout, stderr.fileno()])
                pid = int(self._link.recv(20))
        finally:
            os.close(their_stdout)
            os.close(tells_end)
        return ForkedServer(pid, os.fdopen(stdout), ended)

    def close(self) -> None:
        """End the process, after its servers."""
        self._link.close()
        self._process.wait(END_SECONDS)


def main(link: socket.socket) -> None:
    """Fork a server for each request until the other end is closed. A server returns from here as well, at its end."""
    for module in (COMMAND, *LATER):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    request = _Parent(link).run()
    if request is not None:
        _become(request)


def _become(request: Mapping[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["directory"])
    # Found again where this environment says.
    tempfile.tempdir = None
    sys.modules[COMMAND].main(request["arguments"], prog_name="python -m launchd.server")


class _Parent:
    """Forks, and tells of each fork how it ended."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._running: dict[int, int] = {}
        self._woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        self._wakes = wakes

    def run(self) -> Mapping[str, Any] | None:
        """Return what a server was asked for, in its process; None in this one, at the end."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._link, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == self._woken:
                        self._tell_ends()
                        continue
                    message, descriptors, *_ = socket.recv_fds(self._link, MOST_BYTES, 1 + STREAMS)
                    if not message:
                        return None
                    if self._is_fork(descriptors):
                        return dict(json.loads(message))

    def _tell_ends(self) -> None:
        os.read(self._woken, 1000)
        for pid in list(self._running):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                ended = self._running.pop(pid)
                os.write(ended, str(os.waitstatus_to_exitcode(status)).encode())
                os.close(ended)

    def _is_fork(self, descriptors: list[int]) -> bool:
        """Fork; returns whether this is the new process, with its streams in place."""
        ended, *streams = descriptors
        pid = os.fork()
        if pid == 0:
            self._leave(ended, streams)
            return True
        for stream in streams:
            os.close(stream)
        self._running[pid] = ended
        self._link.send(str(pid).encode())
        return False

    def _leave(self, ended: int, streams: list[int]) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
        for descriptor in (self._woken, self._wakes, ended, *streams, *self._running.values()):
            os.close(descriptor)
        self._link.close()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
