"""Every failpoint × every way to die: no job is lost, none runs twice or is left behind, and the reason is true.

A process that raises or leaves goes as one that is killed does, but for its last words: one failpoint for each kind of
process shows that, and the long run (``--long``) all others. A testbed runs one job of each length while the process
that reaches the failpoint dies there, once. What a dead supervisor needs is what systemd does: it is started again; a
hung one is killed first, as the watchdog would.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from ipc.failpoints import ACTIONS, FAILPOINTS
from launchd.client.queue_server import Item
from tests.support.deaths import ADOPTING, assert_said_once, assert_started_once, is_contained, keep_agent_alive
from tests.support.processes import children_of, command_line
from tests.support.server import Account, RunningServer, running_server
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

#: A job writes its name here first thing; twice would be a job that ran twice.
RUN_SCRIPT = 'echo "$LAUNCHD_JOB_NAME" >> "$1"; sleep "$2"; echo done'

#: One that is over at once, one that is still running when others end, and one that has to wait for a slot.
LENGTHS = ("0", "0.7", "0.3")

#: A job whose shim dies cannot be known to have ended well, and is not started again.
SHIM_DEATH_REASONS = ("process that kept the job", "did not start", "failpoint")

#: Where, in the short run, a process of each kind raises and leaves too.
EVERY_ACTION = ("worker.after_submit", "shim.spawned", "supervisor.submitted")


def way_to_die(failpoint: str, action: str) -> Any:
    """Return a row of the matrix."""
    is_short = action in ("kill", "stop") or failpoint in EVERY_ACTION
    return pytest.param(failpoint, action, marks=[] if is_short else pytest.mark.long, id=f"{failpoint}-{action}")


#: Those of builds in pods have a matrix of their own, in `test_pod_builds.py`.
OF_ANY_JOB = [name for name in FAILPOINTS if not name.startswith("pod_build.")]

MATRIX = [way_to_die(failpoint, action) for failpoint in OF_ANY_JOB for action in ACTIONS]


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account, max_jobs=2) as opened:
        yield opened


def test_the_short_run_has_failpoints_that_there_are() -> None:
    assert set(EVERY_ACTION) <= FAILPOINTS.keys()


@pytest.mark.parametrize(("failpoint", "action"), MATRIX)
def test_any_process_may_die_anywhere(testbed: Testbed, failpoint: str, action: str) -> None:
    fired = testbed.directory / "fired"
    fired.mkdir()
    items = [leave_a_job_behind(testbed)] if failpoint == ADOPTING else []
    armed = {"LAUNCHD_FAILPOINTS": f"{failpoint}={action}", "LAUNCHD_FAILPOINTS_ONCE": str(fired)}
    agent = testbed.start_agent(**armed)
    items += push_one_of_each_length(testbed)

    contained = is_contained(failpoint, action)
    keep_agent_alive(testbed, agent, armed, fired / failpoint, contained=contained)
    ended = testbed.wait_over(items)

    assert_nothing_ran_twice(testbed.directory / "runs")
    for item in ended:
        assert_outcome_is_true(item, failpoint, testbed, contained=contained)
    assert_journal_and_server_agree(testbed, ended)
    assert_said_once(testbed, ended)
    assert_nothing_left(testbed)


@pytest.mark.parametrize("action", ["kill", "stop"])
def test_the_fork_server_may_die_while_jobs_are_at_every_phase(testbed: Testbed, action: str) -> None:
    testbed.start_agent()
    items = push_one_of_each_length(testbed)
    disturb_fork_server(testbed, action)
    items += push_one_of_each_length(testbed)

    assert_all_finish(testbed, items)


@pytest.mark.parametrize("action", ["kill", "stop"])
def test_the_queue_server_may_die_while_jobs_are_at_every_phase(tmp_path: Path, action: str) -> None:
    with running_server(tmp_path) as server, closing(Testbed(tmp_path, server, max_jobs=2, launchd={})) as testbed:
        testbed.start_agent()
        items = push_one_of_each_length(testbed)
        disturb_queue_server(testbed, server, action)
        items += push_one_of_each_length(testbed)

        assert_all_finish(testbed, items)


def push_one_of_each_length(opened: Testbed) -> list[str]:
    runs = opened.directory / "runs"
    return [opened.push("sh", "-c", RUN_SCRIPT, "job", str(runs), length) for length in LENGTHS]


def assert_all_finish(opened: Testbed, items: list[str]) -> None:
    ended = opened.wait_over(items, timeout=50)

    assert [item.state for item in ended] == ["FINISHED"] * len(items)
    assert_nothing_ran_twice(opened.directory / "runs")
    assert_journal_and_server_agree(opened, ended)
    assert_said_once(opened, ended)
    assert_nothing_left(opened)


def test_an_end_that_the_fork_server_cannot_tell_is_noticed(testbed: Testbed) -> None:
    """All slots taken and a spare worker ready: nothing is asked of the fork server, and it alone knows exit codes."""
    testbed.configure(max_jobs=1)
    testbed.start_agent()
    gate = testbed.directory / "gate"
    item = testbed.push("sh", "-c", 'until [ -e "$1" ]; do sleep 0.05; done', "job", str(gate))
    wait_until(lambda: testbed.phase(item) == "running", what="the job runs")
    wait_until(lambda: idle_workers(testbed) == 1, what="a spare worker is ready")
    disturb_fork_server(testbed, "stop")

    gate.touch()

    assert [over.state for over in testbed.wait_over([item], timeout=20)] == ["FINISHED"]
    assert "The fork server does not answer and is replaced." in testbed.log()


def idle_workers(opened: Testbed) -> int:
    return sum("worker idle" in command_line(process) for process in children_of(opened.agent_pid, all_below=True))


def leave_a_job_behind(opened: Testbed) -> str:
    """Have a job that runs on after its supervisor was killed."""
    agent = opened.start_agent()
    item_id = opened.push("sh", "-c", RUN_SCRIPT, "job", str(opened.directory / "runs"), "1")
    wait_until(lambda: opened.phase(item_id) == "running", what="the job ran")
    agent.kill()
    return item_id


def disturb_queue_server(opened: Testbed, server: RunningServer, action: str) -> None:
    if action == "stop":
        psutil.Process(server.process.pid).suspend()
        wait_until(lambda: not opened.status()["server"]["reachable"], timeout=30, what="the outage was noticed")
    server.restart()


def disturb_fork_server(opened: Testbed, action: str) -> None:
    wait_until(lambda: opened.status()["jobs"], what="a job was claimed")
    titled = wait_until(
        lambda: [child for child in children_of(opened.agent_pid) if "fork server" in command_line(child)],
        what="the fork server holds what workers need, and says what it is",
    )
    fork_server = titled[0]
    if action == "kill":
        fork_server.kill()
    else:
        fork_server.suspend()


def assert_nothing_ran_twice(runs: Path) -> None:
    assert_started_once(runs.read_text().split() if runs.exists() else [])


def assert_outcome_is_true(item: Item, failpoint: str, opened: Testbed, *, contained: bool) -> None:
    if item.state == "FINISHED":
        assert opened.job(item.id)["workload_name"] in (opened.directory / "runs").read_text()
        return
    if contained:
        assert item.state == "FAILED"
        assert f"unexpected error over this job: FailpointReached: failpoint {failpoint}" in (item.message or "")
        return
    assert failpoint.startswith("shim."), f"{item.state}: {item.message}"
    assert item.state == "FAILED"
    assert any(reason in (item.message or "") for reason in SHIM_DEATH_REASONS), item.message


def assert_journal_and_server_agree(opened: Testbed, items: list[Item]) -> None:
    wait_until(lambda: opened.outbox() == 0, what="the outbox is empty")
    states = opened.journal_states()
    assert {item.id: states[item.id].upper() for item in items} == {item.id: item.state for item in items}


def assert_nothing_left(opened: Testbed) -> None:
    wait_until(lambda: not opened.processes(), what="no process of a job is left")
