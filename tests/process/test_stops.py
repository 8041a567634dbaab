"""Jobs that are stopped: on request, wherever they are and whatever dies, and because their time is over."""

import re
import socket
import sys
import time
from contextlib import closing
from typing import Any

import psutil
import pytest

from tests.support.gate import Gate
from tests.support.testbed import ROOT, Testbed
from tests.support.waiting import wait_until

STUBBORN = (sys.executable, str(ROOT / "examples" / "stubborn" / "main.py"))


def limited(seconds: float) -> dict[str, Any]:
    return {"local-process": {"launchd": {"max_runtime_seconds": seconds}}}


def test_a_stop_that_was_answered_is_carried_out_whatever_dies(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    items = [testbed.push_waiting(gate) for _ in range(2)]
    testbed.wait_running(*items)
    assert testbed.agent is not None
    for item in items:
        assert testbed.ask(command="stop", item=item)["ok"]
    testbed.agent.kill()
    testbed.start_agent()
    assert {ended.state for ended in testbed.wait_over(items)} == {"STOPPED"}


def test_a_queued_item_is_stopped_in_the_queue(testbed: Testbed, gate: Gate) -> None:
    testbed.configure(max_jobs=1)
    testbed.start_agent()
    running = testbed.push_waiting(gate)
    testbed.wait_running(running)
    marker = testbed.directory / "ran"
    queued = testbed.push("touch", str(marker))
    assert testbed.client.stop_item(queued, "not needed") == "The item has ended: stopped."
    gate.open()
    testbed.wait_over([running])
    after = testbed.push("true")
    testbed.wait_over([after])
    assert (testbed.item(queued).state, testbed.item(queued).stop_reason) == ("STOPPED", "not needed")
    assert not marker.exists()


def test_a_job_is_stopped_while_its_source_is_fetched(testbed: Testbed) -> None:
    testbed.start_agent()
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/repository"
        item = testbed.push(git={"repo": url, "version": None})
        wait_until(lambda: testbed.phase(item) == "fetching", what="the fetch began")
        assert testbed.ask(command="stop", item=item, reason="wrong repository")["ok"]
        (ended,) = testbed.wait_over([item], timeout=15.0)
    assert (ended.state, ended.message) == ("STOPPED", "The job was stopped: wrong repository.")
    wait_until(lambda: not testbed.processes(), what="git is gone")


@pytest.mark.parametrize("way", ["control socket", "queue server", "while the agent is away"])
def test_a_stubborn_job_is_stopped_with_all_it_started(testbed: Testbed, way: str) -> None:
    agent = testbed.start_agent()
    item = testbed.push(*STUBBORN)
    wait_until(lambda: testbed.phase(item) == "running" and "ignore" in testbed.output(item), what="the job runs")
    family = [psutil.Process(int(pid)) for pid in re.findall(r"\d+", testbed.output(item))]
    assert len(family) == 3
    match way:
        case "control socket":
            assert testbed.ask(command="stop", item=item, reason="too slow")["ok"]
        case "queue server":
            testbed.client.stop_item(item, "too slow")
        case _:
            agent.kill()
            testbed.client.stop_item(item, "too slow")
            testbed.start_agent()
    (ended,) = testbed.wait_over([item], timeout=15.0)
    assert (ended.state, ended.message) == ("STOPPED", "The job was stopped: too slow.")
    assert [process.is_running() for process in family] == [False] * 3
    wait_until(lambda: not testbed.processes(), what="nothing is left")


def test_a_stop_of_an_unknown_job_is_refused_in_a_sentence(testbed: Testbed) -> None:
    testbed.start_agent()
    answer = testbed.ask(command="stop", item="no-such-item")
    assert answer == {"ok": False, "error": "This agent has no active job no-such-item."}


def test_a_job_that_ran_for_longer_than_it_may_is_stopped_with_grace(testbed: Testbed) -> None:
    testbed.start_agent()
    trap = "trap 'echo asked; exit 3' TERM; echo begun; while :; do sleep 0.05; done"
    item = testbed.push("sh", "-c", trap, resource_args=limited(0.5))
    (ended,) = testbed.wait_over([item])
    # The shell may say of what it waited for that it was terminated, too.
    lines = testbed.output(item).splitlines()
    assert (ended.state, lines[0], lines[-1]) == ("STOPPED", "begun", "asked")
    assert ended.message == "The job was stopped: it ran longer than its limit of 0.5s, set by its submitter."
    assert testbed.job(item)["time_limit_seconds"] == 0.5


def test_the_time_of_a_job_goes_on_while_no_agent_runs(testbed: Testbed) -> None:
    agent = testbed.start_agent()
    item = testbed.push("sleep", "600", resource_args=limited(4.0))
    testbed.wait_running(item)
    started = testbed.job(item)["started_at"]
    agent.kill()
    wait_until(lambda: time.time() > started + 4.0, what="its time is over")
    testbed.start_agent()
    (ended,) = testbed.wait_over([item], timeout=10.0)
    # The agent may have died before it had written the start; the job's own record has it, too.
    assert (ended.state, testbed.job(item)["started_at"]) == ("STOPPED", pytest.approx(started, abs=0.1))
    assert "longer than its limit of 4.0s" in (ended.message or "")
