"""A running agent gets another configuration; its jobs go on."""

import os
import signal

import pytest

from tests.support.gate import Gate
from tests.support.testbed import Testbed
from tests.support.waiting import wait_until


@pytest.mark.parametrize("way", ["SIGHUP", "control socket"])
def test_more_slots_are_used_after_a_reload(testbed: Testbed, gate: Gate, way: str) -> None:
    testbed.configure(max_jobs=1)
    agent = testbed.start_agent()
    items = [testbed.push_waiting(gate) for _ in range(3)]
    testbed.wait_running(items[0])
    testbed.configure(max_jobs=3)
    if way == "SIGHUP":
        os.kill(agent.pid, signal.SIGHUP)
    else:
        assert testbed.ask(command="reload") == {"ok": True}
    testbed.wait_running(*items)
    gate.open()
    assert {item.state for item in testbed.wait_over(items)} == {"FINISHED"}


@pytest.mark.parametrize("way", ["SIGHUP", "control socket"])
def test_a_wrong_configuration_leaves_the_old_one_in_force(testbed: Testbed, way: str) -> None:
    agent = testbed.start_agent()
    before = testbed.config_path.read_text()
    testbed.config_path.write_text(before.replace("max_jobs: 2", "max_jobz: 9"))
    if way == "SIGHUP":
        os.kill(agent.pid, signal.SIGHUP)
        wait_until(lambda: "the old one stays in force" in testbed.log(), what="it is logged")
        assert "max_jobz" in testbed.log()
    else:
        answer = testbed.ask(command="reload")
        assert not answer["ok"]
        assert "max_jobz" in answer["error"]
        assert "max_jobs" in answer["error"]
    assert testbed.status()["agent"]["max_jobs"] == 2
    assert [item.state for item in testbed.wait_over([testbed.push("true")])] == ["FINISHED"]


def test_other_queues_are_served_after_a_reload_and_jobs_go_on(testbed: Testbed, gate: Gate) -> None:
    testbed.client.create_queue(testbed.entity, "second")
    testbed.start_agent()
    running = testbed.push_waiting(gate)
    testbed.wait_running(running)
    testbed.configure(max_jobs=3, queues=["second"])
    assert testbed.ask(command="reload") == {"ok": True}
    # The question that the agent left open at the first queue is still answered.
    spec = {"entity": testbed.entity, "project": "tests", "resource": "local-process"}
    specs = spec | {"overrides": {"entry_point": ["true"]}}
    testbed.push("true")
    for _ in range(4):
        testbed.wait_over([testbed.client.push(testbed.entity, "second", specs)], timeout=15.0)
    gate.open()
    assert testbed.wait_over([running])[0].state == "FINISHED"
