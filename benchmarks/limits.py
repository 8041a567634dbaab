"""What the bare machine does: the least that any design must pay, measured beside each figure."""

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

#: What the supervisor imports beside the standard library, for the memory of an interpreter that does the same.
SAME_IMPORTS = "requests, msgspec, sqlite3, yaml, click, psutil, multiprocessing.forkserver, setproctitle"


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
    """Return, for each of ``count`` times, the seconds for a fork-and-exec, an fsync and a loopback request."""
    with _web_server() as url, (directory / "sync").open("ab") as file:
        return [_one_bare_start(url, file.fileno()) for _ in range(count)]


def _one_bare_start(url: str, descriptor: int) -> float:
    before = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        answer.read()
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
    """A worker of the bare chain: run the command for one job and leave."""
    end.send(Hello(os.getpid()))
    end.receive()
    os.waitpid(os.posix_spawn(COMMAND, [COMMAND], {}), 0)
    return 0


def bare_chain(directory: Path, jobs: int = 200, at_once: int = 8) -> float:
    """Return jobs per second of the bare chain: a worker of a warm fork server, one spawn, three full-sync commits."""
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
    """Return the resident bytes of an interpreter with the supervisor's imports and nothing else."""
    script = f"import psutil, {SAME_IMPORTS}\nprint(psutil.Process().memory_info().rss)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return int(done.stdout)
