"""A worker that only watches, as a real process: it needs no work order, and stops the job when told to."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from ipc.handles import Handle
from tests.contract.runners.support import NAME, ROOT, Job
from tests.support.waiting import wait_until

#: A supervisor in small: it has the job adopted, and stops it once it runs.
PROGRAM = """
import sys
from multiprocessing import connection
import msgspec
from ipc.bootstrap import spawn_worker, start_fork_server
from ipc.channel import open_channel
from ipc.handles import Handle
from ipc.messages import Adopt, Finished, Hello, Stop

directory, name, handle = sys.argv[1:]
start_fork_server(["workers.preload"])
end, worker_end = open_channel()
process = spawn_worker("workers.main:main", worker_end)
end.close_peer_ends()

def receive():
    connection.wait([end.fileno()], 20)
    return end.receive()

assert receive() == Hello(process.pid)
end.send(Adopt(directory, name, "", msgspec.json.decode(handle, type=Handle), rescue=True))
assert receive().state == "running"
end.send(Stop("x" * 10_000, 0.0))
while not isinstance(event := receive(), Finished):
    assert event.message is None, event
print(event.state)
process.join(20)
print(process.exitcode)
"""


def test_a_job_whose_order_is_damaged_is_watched_and_stopped(tmp_path: Path) -> None:
    job = Job(tmp_path / "jobs" / NAME, command=("sh", "-c", "touch ready; exec sleep 60"))
    _, handle = job.submit()
    wait_until((job.work / "ready").exists, what="the job runs")
    (job.directory / "job.json").write_text("{")

    ended = supervise(job, handle)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "stopped\n0\n"
    assert "watched by its handle" in (job.directory / "worker.log").read_text()


def supervise(job: Job, handle: Handle) -> subprocess.CompletedProcess[str]:
    words = (str(job.directory), NAME, msgspec.json.encode(handle).decode())
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=ROOT,
        env=os.environ | {"LAUNCHD_PRELOAD": "local-process"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
