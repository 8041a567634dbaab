"""A worker is ended for its silence only while the agent watched and it had something to say."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gate import Gate
from tests.support.processes import children_of
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

SILENCE_SECONDS = 8.0

ROOT = Path(__file__).parents[2]

#: A pool whose only worker was spare for longer than the limit when it got a job, and then says nothing.
SPARE_PROGRAM = """
import selectors, time
from multiprocessing import connection
from ipc.settings import SupervisionConfig
from launchd.agent.events import EventQueue
from launchd.agent.worker_pool.pool import WorkerPool
from launchd.agent.worker_pool.spawner import WorkerSpawner

events, selector = EventQueue(), selectors.DefaultSelector()
spawner = WorkerSpawner(events, [])
pool = WorkerPool(spawner, selector, SupervisionConfig(worker_silence_seconds=1.0))

def watch(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        selector.select(0.1)
        pool.check_heartbeats()

pool.scale_to(1, False)
while not pool.has_spare():
    for event in events.take_all():
        pool.add(event)
    for key, _ in selector.select(0.1):
        pool.mark_ready(key.data)
    for _ in pool.poll_events():
        pass
watch(1.5)
worker = pool.assign("item")
pool.check_heartbeats()
watch(0.5)
print("lives" if worker.aborted_at is None else "ended")
watch(1.5)
print("lives" if worker.aborted_at is None else "ended")
pool.kill_all("the end")
"""

SUPERVISION = {
    "worker_heartbeat_seconds": 0.5,
    "worker_silence_seconds": SILENCE_SECONDS,
    "fork_server_silence_seconds": SILENCE_SECONDS,
}


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account, max_jobs=1, launchd={"supervision": SUPERVISION}) as opened:
        yield opened


def wait_longer_than_the_limit() -> None:
    until = time.monotonic() + SILENCE_SECONDS + 1.0
    wait_until(lambda: time.monotonic() > until, 2 * SILENCE_SECONDS, what="the limit of silence has passed")


def test_a_tree_that_was_frozen_goes_on_as_it_was(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    item = testbed.push("sh", "-c", gate.wait)
    wait_until(lambda: testbed.phase(item) == "running", what="the job runs")
    tree = [testbed.agent_pid, *(process.pid for process in children_of(testbed.agent_pid, all_below=True))]

    for pid in tree:
        os.kill(pid, signal.SIGSTOP)
    wait_longer_than_the_limit()
    # The agent first, and its workers once it has looked at them.
    os.kill(tree[0], signal.SIGCONT)
    thawed_at = time.monotonic()
    wait_until(lambda: time.monotonic() > thawed_at + 2.0 and testbed.status(), what="the agent goes on")
    for pid in tree[1:]:
        os.kill(pid, signal.SIGCONT)

    gate.open()
    assert [over.state for over in testbed.wait_over([item])] == ["FINISHED"]
    assert "it is ended" not in testbed.log()
    assert "is replaced" not in testbed.log()
    assert "lost its worker" not in testbed.log()


def test_a_spare_worker_that_waited_long_gets_its_time() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SPARE_PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "lives\nended\n"


def test_a_fork_server_that_imports_for_longer_than_it_may_be_silent_is_left_alone(
    tmp_path: Path, account: Account
) -> None:
    policy = {"resources": ["local-process", "slow"]}
    with make_testbed(tmp_path, account, launchd={"policy": policy}) as testbed:
        testbed.start_agent(LAUNCHD_TEST_TARGETS="slow=tests.support.slow_preload:FakeRunner")

        (ended,) = testbed.wait_over([testbed.push("true")])

        assert ended.state == "FINISHED"
        assert "does not answer" not in testbed.log()
