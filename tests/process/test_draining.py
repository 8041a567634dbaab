"""An agent that drains, by its operator's word or by the queue server's, and one that is stopped from elsewhere."""

from tests.support.gate import Gate
from tests.support.testbed import Testbed
from tests.support.waiting import assert_stays, wait_until


def status_at_server(testbed: Testbed) -> str | None:
    agent = testbed.client.agent(testbed.status()["agent"]["id"])
    return agent and agent.status


def test_a_draining_agent_claims_nothing_and_leaves_with_its_last_job(testbed: Testbed, gate: Gate) -> None:
    agent = testbed.start_agent()
    running = testbed.push_waiting(gate)
    testbed.wait_running(running)
    assert testbed.ask(command="drain") == {"ok": True, "jobs": 1}
    queued = testbed.push("true")
    assert testbed.status()["agent"]["state"] == "draining"
    # A question that was open at the queue may still bring it; then it is given back.
    assert_stays(lambda: agent.exit_code() is None and testbed.phase(queued) is None, 0.7, "the agent")
    wait_until(lambda: testbed.item(queued).state == "PENDING", what="it waits for another agent")
    gate.open()
    assert agent.wait_gone() == 0
    assert (testbed.item(running).state, testbed.item(queued).state) == ("FINISHED", "PENDING")


def test_an_agent_that_drains_can_take_jobs_again(testbed: Testbed, gate: Gate) -> None:
    testbed.configure(max_jobs=4, launchd={"supervision": {"wait_seconds": 60.0}})
    testbed.start_agent()
    running = testbed.push_waiting(gate)
    testbed.wait_running(running)
    testbed.ask(command="drain")
    assert testbed.status()["agent"]["why_draining"] == "of `launchd drain`"
    # Well before the end of the heartbeat that waits at the server.
    wait_until(lambda: status_at_server(testbed) == "DRAINING", timeout=10, what="what others see")
    assert testbed.ask(command="undrain") == {"ok": True, "jobs": 1}
    wait_until(lambda: status_at_server(testbed) == "RUNNING", timeout=10, what="what others see")
    assert (testbed.status()["agent"]["state"], testbed.status()["agent"]["why_draining"]) == ("polling", None)
    queued = testbed.push("true")
    assert testbed.wait_over([queued])[0].state == "FINISHED"

    gate.open()
    assert testbed.wait_over([running])[0].state == "FINISHED"
    assert testbed.status()["agent"]["state"] == "polling"


def test_an_agent_that_does_not_drain_is_not_changed_by_undrain(testbed: Testbed) -> None:
    testbed.start_agent()
    assert testbed.ask(command="undrain") == {"ok": True, "jobs": 0}
    assert testbed.wait_over([testbed.push("true")])[0].state == "FINISHED"


def test_stop_polling_drains_the_agent(testbed: Testbed, gate: Gate) -> None:
    agent = testbed.start_agent()
    running = testbed.push_waiting(gate)
    testbed.wait_running(running)
    testbed.client.stop_agent(testbed.status()["agent"]["id"])
    wait_until(lambda: testbed.status()["agent"]["state"] == "draining", what="the order was heard")
    queued = testbed.push("true")
    gate.open()
    assert agent.wait_gone() == 0
    assert (testbed.item(running).state, testbed.item(queued).state) == ("FINISHED", "PENDING")


def test_a_drain_that_the_server_wants_is_taken_back_there_alone(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    running = testbed.push_waiting(gate)
    testbed.wait_running(running)
    agent = testbed.status()["agent"]
    testbed.client.stop_agent(agent["id"])
    wait_until(lambda: testbed.status()["agent"]["state"] == "draining", what="the order was heard")
    refused = testbed.ask(command="undrain")
    assert refused["error"].endswith(f"That is taken back there: launchd agent undrain {agent['name']}")
    testbed.client.undrain_agent(agent["id"])
    wait_until(lambda: testbed.status()["agent"]["state"] == "polling", what="the agent takes jobs")
    queued = testbed.push("true")
    gate.open()
    assert {ended.state for ended in testbed.wait_over([running, queued])} == {"FINISHED"}


def test_an_agent_elsewhere_is_stopped_with_its_jobs(testbed: Testbed, gate: Gate) -> None:
    agent = testbed.start_agent()
    running = testbed.push_waiting(gate)
    testbed.wait_running(running)
    stopped = testbed.client.stop_agent_and_items(testbed.status()["agent"]["id"], "the host is taken down")
    assert stopped == (running,)
    assert agent.wait_gone() == 0
    ended = testbed.item(running)
    assert (ended.state, ended.stop_reason) == ("STOPPED", "the host is taken down")
