"""Baselines: the figures of the bare machine, the lower bound of the cost of any agent."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import connection
from pathlib import Path

from ipc.bootstrap import spawn_worker, start_fork_server
from ipc.channel import WorkerEnd, open_channel
from ipc.messages import Hello, SubmitApproved

COMMAND = "/bin/true"

#: Imports of the supervisor, for the memory of an interpreter that has the same.
SUPERVISOR_IMPORTS = "requests, msgspec, sqlite3, yaml, click, psutil, multiprocessing.forkserver, setproctitle"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        return


def bare_start(directory: Path, count: int = 200) -> list[float]:
    """Return ``count`` times in seconds, each of a loopback request, an fsync and a fork-and-exec."""
    with _web_server() as url, (directory / "sync").open("ab") as file:
        return [_one_bare_start(url, file.fileno()) for _ in range(count)]


def _one_bare_start(url: str, descriptor: int) -> float:
    before = time.perf_counter()
    with urllib.request.urlopen(url) as response:
        response.read()
    os.write(descriptor, b"x" * 200)
    os.fsync(descriptor)
    os.waitpid(os.posix_spawn(COMMAND, [COMMAND], {}), 0)
    return time.perf_counter() - before


@contextmanager
def _web_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def spawn_true(end: WorkerEnd) -> int:
    """Run the command of one job and return the exit code: the worker of the bare chain."""
    end.send(Hello(os.getpid()))
    end.receive()
    os.waitpid(os.posix_spawn(COMMAND, [COMMAND], {}), 0)
    return 0


def bare_chain(directory: Path, jobs: int = 200, at_once: int = 8) -> float:
    """Return the jobs per second of the bare chain.

    For each job: a worker from a warm fork server, one spawned command and three commits with full synchronisation.
    """
    start_fork_server(["workers.preload", __name__])
    journal = sqlite3.connect(directory / "chain.sqlite", isolation_level=None)
    journal.execute("PRAGMA journal_mode = WAL")
    journal.execute("PRAGMA synchronous = FULL")
    journal.execute("CREATE TABLE jobs (id INTEGER, state TEXT)")
    before = time.perf_counter()
    running: dict[int, object] = {}
    started = 0
    while started < jobs or running:
        while started < jobs and len(running) < at_once:
            end, worker_end = open_channel()
            _commit(journal, started, "claimed")
            process = spawn_worker(f"{__name__}:spawn_true", worker_end)
            end.close_peer_ends()
            _commit(journal, started, "submitting")
            end.send(SubmitApproved("x"))
            running[process.sentinel] = (process, end)
            started += 1
        for sentinel in connection.wait(list(running)):
            del running[int(str(sentinel))]
            _commit(journal, started, "finished")
    return jobs / (time.perf_counter() - before)


def _commit(journal: sqlite3.Connection, job: int, state: str) -> None:
    journal.execute("INSERT INTO jobs VALUES (?, ?)", (job, state))


def interpreter_memory() -> int:
    """Return the resident memory, in bytes, of an interpreter that has only imported what the supervisor imports."""
    script = f"import psutil, {SUPERVISOR_IMPORTS}\nprint(psutil.Process().memory_info().rss)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return int(done.stdout)
