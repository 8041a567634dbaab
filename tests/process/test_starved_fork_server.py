"""A host that gives no process: the worker that was asked for is refused, and what runs goes on."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: A program with two workers: one from before the shortage, and one from after it.
PROGRAM = """
import os, sys, time
from multiprocessing import connection
from pathlib import Path
from ipc.bootstrap import WorkerNotForked, fork_server_pid, spawn_worker, start_fork_server
from ipc.channel import open_channel
from ipc.messages import Hello

starved = Path(os.environ["LAUNCHD_TEST_STARVED"])

def spawn():
    end, worker_end = open_channel()
    process = spawn_worker("workers.main:main", worker_end)
    end.close_peer_ends()
    connection.wait([end.fileno()], 20)
    assert end.receive() == Hello(process.pid)
    return end, process

start_fork_server(["tests.support.starved_fork", "workers.preload"])
first, earlier = spawn()
server = fork_server_pid()
starved.touch()
for _ in range(3):
    try:
        spawn()
    except WorkerNotForked as error:
        print(error)
starved.unlink()
second, later = spawn()
assert fork_server_pid() == server
assert earlier.exitcode is None
# It closes those of a request only after its answer.
deadline = time.monotonic() + 20
while (descriptors := len(os.listdir(f"/proc/{server}/fd"))) >= 16 and time.monotonic() < deadline:
    time.sleep(0.05)
print("descriptors", descriptors)
for end, process in ((first, earlier), (second, later)):
    end.close()
    process.join(20)
    print(process.exitcode)
"""


def test_a_refused_fork_is_the_answer_to_one_request(tmp_path: Path) -> None:
    environment = os.environ | {"LAUNCHD_TEST_STARVED": str(tmp_path / "starved"), "LAUNCHD_PRELOAD": ""}

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    *refusals, descriptors, first, second = ended.stdout.splitlines()
    assert refusals == ["this host gave it no process: Resource temporarily unavailable"] * 3
    # Of each worker the fork server keeps the pipe for its exit code, and of a refused one nothing.
    assert int(descriptors.split()[1]) < 16
    assert (first, second) == ("76", "76")
