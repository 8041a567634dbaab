"""What holds of a running agent all the time: its slots, its processes, users and keys, and what it keeps."""

import os
import signal
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from launchd.client.errors import Unauthorized
from launchd.client.queue_server import QueueServer
from tests.support.gate import Gate
from tests.support.processes import command_line
from tests.support.server import Account
from tests.support.testbed import QUEUE, Testbed, make_testbed
from tests.support.waiting import assert_stays, wait_until


def test_there_are_never_more_jobs_than_slots(testbed: Testbed) -> None:
    testbed.configure(max_jobs=3)
    testbed.start_agent()
    present, counts, ready = (testbed.directory / name for name in ("present", "counts", "ready"))
    present.mkdir()
    waiting = f"until [ -e {ready} ]; do sleep 0.05; done"
    script = f"touch {present}/$$; ls {present} | wc -l >> {counts}; {waiting}; rm {present}/$$"
    items = [testbed.push("sh", "-c", script) for _ in range(20)]
    wait_until(lambda: len(list(present.iterdir())) == 3, 30.0, "three jobs at once")
    seen = [len(testbed.status()["jobs"])]
    ready.touch()
    while any(testbed.item(item).state != "FINISHED" for item in items):
        seen.append(len(testbed.status()["jobs"]))
    assert max(seen) == 3
    assert max(int(count) for count in counts.read_text().split()) == 3
    assert len(counts.read_text().split()) == 20


def test_directories_of_old_jobs_go_and_the_last_ones_stay(testbed: Testbed) -> None:
    testbed.configure(max_jobs=2, launchd={"jobs": {"keep_finished": 1}})
    testbed.start_agent()
    items = [testbed.push("true") for _ in range(4)]
    testbed.wait_over(items)
    directories = testbed.state_dir / "jobs"

    wait_until(lambda: len(list(directories.iterdir())) == 1, 20.0, "the removal of old directories")
    wait_until(lambda: len(testbed.journal_states()) == 1, what="the journal forgets them, too")

    (kept,) = [item for item in items if item in testbed.journal_states()]
    assert testbed.job(kept)["workload_name"] == next(directories.iterdir()).name


def test_schedulers_have_slots_of_their_own(testbed: Testbed, gate: Gate) -> None:
    testbed.configure(max_jobs=1, max_schedulers=1)
    testbed.start_agent()
    scheduler: dict[str, Any] = {
        "uri": "placeholder-uri-scheduler",
        "resource": "fake",
        "resource_args": {"fake": {"run_seconds": 2}},
    }
    schedulers = [testbed.push("true", **scheduler) for _ in range(2)]
    jobs = [testbed.push_waiting(gate) for _ in range(2)]
    testbed.wait_running(schedulers[0], jobs[0])
    assert_stays(lambda: len(testbed.status()["jobs"]) == 2, 0.5, "one of each kind")
    assert [testbed.item(item).state for item in (schedulers[1], jobs[1])] == ["PENDING", "PENDING"]
    testbed.wait_running(schedulers[1])
    assert testbed.item(jobs[1]).state == "PENDING"
    gate.open()
    assert {item.state for item in testbed.wait_over([*schedulers, *jobs])} == {"FINISHED"}


def test_a_job_does_not_feel_its_workers_death(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    item = testbed.push_waiting(gate)
    testbed.wait_running(item)
    first = testbed.job(item)["worker_pid"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: testbed.job(item)["worker_pid"] not in (None, first), what="it has another worker")
    gate.open()
    (ended,) = testbed.wait_over([item])
    assert (ended.state, testbed.output(item)) == ("FINISHED", "begun\nended\n")
    assert testbed.status()["counters"]["worker_losses"] == 1


def test_processes_say_what_they_are(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    item = testbed.push_waiting(gate)
    testbed.wait_running(item)
    title = f"launchd: worker {QUEUE}/{item} running"
    worker = psutil.Process(testbed.job(item)["worker_pid"])
    wait_until(lambda: command_line(worker) == title, 3.0, f"the title {title}")
    assert command_line(psutil.Process(worker.ppid())) == "launchd: fork server"
    gate.open()
    testbed.wait_over([item])


def test_limits_that_this_host_cannot_hold_are_said(testbed: Testbed, tmp_path: Path) -> None:
    jobs = {"control_group": str(tmp_path / "none"), "limits": {"memory": "1 GiB"}}
    testbed.configure(max_jobs=1, launchd={"jobs": jobs})
    testbed.start_agent()

    item = testbed.push("true")

    # Jobs run all the same: that the limit is not held is the administrator's to know.
    assert testbed.wait_over([item])[0].state == "FINISHED"
    said = testbed.status()["control_groups"]
    assert said["root"] is None
    assert said["shortcoming"].endswith("found by descent, and the configured limits of memory are not held.")
    assert testbed.log().count("Not everything of a job is held.") == 1
    asked = testbed.push("true", resource_args={"local-process": {"memory": "64 MiB"}})
    (refused,) = testbed.wait_over([asked])
    assert refused.state == "FAILED"
    assert "a limit of memory, which this host cannot hold" in (refused.message or "")
    ended = {job["item_id"]: job for job in testbed.status()["recent"]}
    assert ended[item]["peak_memory_bytes"] is None, "the kernel says what the process was before it ran the command"
    assert ended[asked]["peak_memory_bytes"] is None


@pytest.mark.root
def test_jobs_run_as_the_user_of_the_policy(account: Account) -> None:
    # Below a directory that other users may enter, unlike pytest's own.
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        policy = {"resources": ["local-process"], "run_as_user": "nobody"}
        with make_testbed(Path(name), account, launchd={"policy": policy}) as opened:
            opened.start_agent()
            item = opened.push("sh", "-c", "id -un; touch written; stat -c %a written")
            opened.wait_over([item])
            assert opened.output(item) == "nobody\n644\n"
            ours = [path for path in opened.state_dir.rglob("*") if path.is_file() and path.owner() == "root"]
            assert [path for path in ours if path.stat().st_mode & 0o077] == []


def test_a_jobs_key_is_its_own_and_reaches_nothing_else(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    told = testbed.directory / "told"
    tell = f'printf %s "$WANDB_API_KEY" > {told}.new; mv {told}.new {told}; {gate.wait}'
    item = testbed.push("sh", "-c", tell, _wandb_api_key=testbed.server.key)
    testbed.wait_running(item)
    wait_until(told.exists, what="the job has a key")
    key = told.read_text()
    assert key != testbed.server.key
    assert list((testbed.state_dir / "keys").iterdir()) == []
    assert where_it_stands(testbed, key) == []
    assert where_it_stands(testbed, testbed.server.key) == []
    assert works(testbed, key)
    gate.open()
    testbed.wait_over([item])
    assert where_it_stands(testbed, key) == []
    wait_until(lambda: not works(testbed, key), 20.0, "the key has ended with the job")


def works(testbed: Testbed, key: str) -> bool:
    """Whether the queue server takes an API key."""
    with closing(QueueServer(testbed.server.url, key)) as server:
        try:
            server.viewer()
        except Unauthorized:
            return False
    return True


def where_it_stands(testbed: Testbed, secret: str) -> list[str]:
    """Return the files of the agent, and the command lines of this machine, that hold ``secret``."""
    files = [path for path in testbed.state_dir.rglob("*") if path.is_file()]
    lines = Path("/proc").glob("[0-9]*/cmdline")
    return [str(path) for path in [*files, testbed.agent_log, *lines] if secret.encode() in read_if_there(path)]


def read_if_there(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
