"""The watcher: hears that jobs, or the agent itself, are to stop, and shows that the agent lives."""

import time

import pytest

from launchd.agent.events import Registered, StopRequested
from launchd.agent.server_link.agent_run import AgentRun
from launchd.agent.server_link.heartbeat import STOPPED_RUN_REASON, HeartbeatLoop, MonitoredRun
from launchd.client.queue_server import QueueServer, StopRequest
from tests.support.lossy_proxy import lossy_proxy
from tests.support.recorded_events import RecordedEvents
from tests.support.server import Api, RunningServer, fresh_name
from tests.support.threads import watching
from tests.support.waiting import assert_stays, wait_until
from tests.support.wandb_server import ENTITY, WandbServer

RUN = MonitoredRun("item", ENTITY, "tests", "run")


@pytest.fixture
def agent_id(wandb_client: QueueServer) -> str:
    return wandb_client.create_agent(ENTITY, ["queue-a"], "host", {}, "launchd@test")


def orders(recorded_events: RecordedEvents) -> list[StopRequest]:
    return [stop for event in recorded_events.of(StopRequested) for stop in event.stops]


# W&B's server.


def test_the_agent_is_told_to_stop(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, recorded_events: RecordedEvents
) -> None:
    with watching(wandb_client, recorded_events, agent_id):
        wait_until(lambda: wandb.asked["LaunchAgent"] > 1, what="two questions")
        assert recorded_events.of(StopRequested) == []
        wandb.stop_polling = True
        assert recorded_events.wait_for(StopRequested)[0] == StopRequested((), stop_polling=True)


def test_only_a_change_of_the_status_is_told(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, recorded_events: RecordedEvents
) -> None:
    with watching(wandb_client, recorded_events, agent_id) as watcher:
        wait_until(lambda: wandb.asked["LaunchAgent"] > 2, what="three turns without a job")
        watcher.set_active_jobs((RUN,))
        wait_until(lambda: wandb.asked["RunStoppedStatus"] > 2, what="three turns with a job")
        watcher.set_active_jobs(())
        wait_until(lambda: len(wandb.statuses[agent_id]) > 2, what="the job's end is told")
    assert wandb.statuses[agent_id] == ["POLLING", "RUNNING", "POLLING"]


def test_a_stopped_run_is_stopped_after_its_time(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, recorded_events: RecordedEvents
) -> None:
    wandb.stopped_runs.add("run")
    with watching(wandb_client, recorded_events, agent_id, patience=0.5) as watcher:
        begun = time.monotonic()
        watcher.set_active_jobs((RUN, MonitoredRun("other", ENTITY, "tests", "other-run")))
        recorded_events.wait_for(StopRequested)
        assert time.monotonic() - begun >= 0.5
    assert set(orders(recorded_events)) == {StopRequest("item", STOPPED_RUN_REASON)}


def test_a_run_that_goes_on_in_time_is_left_alone(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, recorded_events: RecordedEvents
) -> None:
    wandb.stopped_runs.add("run")
    with watching(wandb_client, recorded_events, agent_id, patience=1.0) as watcher:
        watcher.set_active_jobs((RUN,))
        wait_until(lambda: wandb.asked["RunStoppedStatus"] > 2, what="it was seen to be stopped")
        wandb.stopped_runs.clear()
        assert_stays(lambda: not recorded_events.of(StopRequested), 1.5, "the run")


def test_a_job_that_is_being_stopped_is_not_asked_for(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, recorded_events: RecordedEvents
) -> None:
    wandb.stopped_runs.add("run")
    with watching(wandb_client, recorded_events, agent_id) as watcher:
        watcher.set_active_jobs((MonitoredRun("item", ENTITY, "tests", "run", stopping=True),))
        wait_until(lambda: "RUNNING" in wandb.statuses[agent_id], what="the job is known")
        wait_until(lambda: wandb.asked["LaunchAgent"] > 5, what="some turns")
    assert wandb.asked["RunStoppedStatus"] == 0
    assert recorded_events.of(StopRequested) == []


def test_a_refusal_does_not_end_the_watch(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    known = Registered("agent-1", "name", ENTITY, ("a",), wandb_client.capabilities())
    watcher = HeartbeatLoop(
        wandb_client,
        known,
        recorded_events.queue,
        AgentRun(wandb_client, known),
        wait_seconds=5.0,
        poll_seconds=0.05,
        stopped_run_timeout=0.0,
    )
    wandb.statuses["agent-1"] = []
    wandb.refused.add("LaunchAgent")
    watcher.start()
    wait_until(lambda: wandb.asked["updateLaunchAgent"], what="it began")
    wait_until(lambda: wandb.refusals > 1, what="two refusals")
    wandb.stop_polling = True
    wandb.refused.clear()
    assert recorded_events.wait_for(StopRequested)[0].stop_polling
    watcher.end()


# Our own server.


def claimed_item(api: Api) -> tuple[str, str]:
    queue = fresh_name("queue")
    agent = api.create_agent(api.create_queue(queue))
    item = api.push(queue)
    assert api.claim(agent, "claim") == [item]
    api.ack(agent, item)
    return agent, item


def request_stop(api: Api, item: str) -> None:
    api.mutate("stopRunQueueItem", "success", runQueueItemId=item, reason="enough")


def test_an_order_is_heard_while_it_is_waited_for(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    agent, item = claimed_item(api)
    with watching(client, recorded_events, agent) as watcher:
        watcher.set_active_jobs((MonitoredRun(item, ENTITY, "p", "run"),))
        assert recorded_events.of(StopRequested) == []
        request_stop(api, item)
        assert recorded_events.wait_for(StopRequested, timeout=4.0)[0].stops == (StopRequest(item, "enough"),)


def test_an_order_that_is_obeyed_is_not_heard_again(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    agent, item = claimed_item(api)
    request_stop(api, item)
    with watching(client, recorded_events, agent) as watcher:
        recorded_events.wait_for(StopRequested)
        watcher.set_active_jobs((MonitoredRun(item, ENTITY, "p", "run", stopping=True),))
        wait_until(lambda: _stays_silent(recorded_events), what="silence")


def _stays_silent(recorded_events: RecordedEvents) -> bool:
    heard = len(recorded_events.of(StopRequested))
    try:
        assert_stays(lambda: len(recorded_events.of(StopRequested)) == heard, 0.6)
    except AssertionError:
        return False
    return True


def test_our_server_tells_the_agent_to_stop(api: Api, client: QueueServer, recorded_events: RecordedEvents) -> None:
    agent, _ = claimed_item(api)
    with watching(client, recorded_events, agent):
        client.stop_agent(agent)
        assert recorded_events.wait_for(StopRequested, timeout=4.0)[0].stop_polling


def test_an_order_whose_answer_got_lost_is_given_again(
    native: RunningServer, api: Api, recorded_events: RecordedEvents
) -> None:
    agent, item = claimed_item(api)
    request_stop(api, item)
    with lossy_proxy(native.url) as proxy:
        proxy.to_lose["WatchLaunchAgent"] = 1
        client = QueueServer(proxy.url, native.key)
        with watching(client, recorded_events, agent) as watcher:
            assert recorded_events.wait_for(StopRequested)[0].stops == (StopRequest(item, "enough"),)
        client.stop_agent(agent)
        wait_until(lambda: not watcher.is_alive(), what="the watcher has ended")
        client.close()
