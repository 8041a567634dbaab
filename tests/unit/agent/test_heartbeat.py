"""The heartbeat loop: hears that jobs, or the agent itself, are to stop, and shows that the agent lives."""

import time

import pytest

from launchd.agent.events import ItemsUnknown, RegistrationLost, StopRequested
from launchd.agent.server_link.launchd_protocol import MUST_RESUME
from launchd.agent.server_link.protocol import MonitoredRun
from launchd.agent.server_link.wandb_protocol import STOPPED_RUN_REASON
from launchd.client.queue_server import HeldByServer, HeldItem, QueueServer, StopRequest
from tests.support.lossy_proxy import lossy_proxy
from tests.support.recorded_events import RecordedEvents
from tests.support.server import Api, RunningServer, fresh_name
from tests.support.threads import IDENTITY, make_heartbeat, sending_heartbeats
from tests.support.waiting import assert_stays, wait_until
from tests.support.wandb_server import ENTITY, WandbServer

RUN = MonitoredRun("item", ENTITY, "tests", "run")


@pytest.fixture
def agent_id(wandb_client: QueueServer) -> str:
    return wandb_client.create_agent(ENTITY, ["queue-a"], "host", {}, "launchd@test")


def stop_requests(recorded_events: RecordedEvents) -> list[StopRequest]:
    return [stop for event in recorded_events.of(StopRequested) for stop in event.stops]


# W&B's server.


def test_the_agent_is_told_to_stop(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, recorded_events: RecordedEvents
) -> None:
    with sending_heartbeats(wandb_client, recorded_events, agent_id):
        wait_until(lambda: wandb.asked["LaunchAgent"] > 1, what="two questions")
        assert recorded_events.of(StopRequested) == []
        wandb.stop_polling = True
        assert recorded_events.wait_for(StopRequested)[0] == StopRequested((), stop_polling=True)


def test_only_a_change_of_the_status_is_told(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, recorded_events: RecordedEvents
) -> None:
    with sending_heartbeats(wandb_client, recorded_events, agent_id) as heartbeat:
        wait_until(lambda: wandb.asked["LaunchAgent"] > 2, what="three turns without a job")
        heartbeat.set_active_jobs((RUN,), ())
        wait_until(lambda: wandb.asked["RunStoppedStatus"] > 2, what="three turns with a job")
        heartbeat.set_active_jobs((), ())
        wait_until(lambda: len(wandb.statuses[agent_id]) > 2, what="the job's end is told")
    assert wandb.statuses[agent_id] == ["POLLING", "RUNNING", "POLLING"]


def test_a_stopped_run_is_stopped_after_its_time(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, recorded_events: RecordedEvents
) -> None:
    wandb.stopped_runs.add("run")
    with sending_heartbeats(wandb_client, recorded_events, agent_id, stopped_run_timeout=0.5) as heartbeat:
        begun = time.monotonic()
        heartbeat.set_active_jobs((RUN, MonitoredRun("other", ENTITY, "tests", "other-run")), ())
        recorded_events.wait_for(StopRequested)
        assert time.monotonic() - begun >= 0.5
    assert set(stop_requests(recorded_events)) == {StopRequest("item", STOPPED_RUN_REASON)}


def test_an_item_that_comes_again_has_its_whole_time(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, recorded_events: RecordedEvents
) -> None:
    wandb.stopped_runs.add("run")
    with sending_heartbeats(wandb_client, recorded_events, agent_id, stopped_run_timeout=2.0) as heartbeat:
        heartbeat.set_active_jobs((RUN,), ())
        wait_until(lambda: wandb.asked["RunStoppedStatus"] > 0, what="it was seen to be stopped")
        seen = time.monotonic()
        heartbeat.set_active_jobs((), ())
        wait_until(lambda: time.monotonic() - seen > 1.0, what="half of its time is over")
        begun = time.monotonic()
        heartbeat.set_active_jobs((RUN,), ())
        recorded_events.wait_for(StopRequested)
        assert time.monotonic() - begun >= 2.0


def test_a_run_that_goes_on_in_time_is_left_alone(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, recorded_events: RecordedEvents
) -> None:
    wandb.stopped_runs.add("run")
    with sending_heartbeats(wandb_client, recorded_events, agent_id, stopped_run_timeout=1.0) as heartbeat:
        heartbeat.set_active_jobs((RUN,), ())
        wait_until(lambda: wandb.asked["RunStoppedStatus"] > 2, what="it was seen to be stopped")
        wandb.stopped_runs.clear()
        assert_stays(lambda: not recorded_events.of(StopRequested), 1.5, "the run")


def test_a_job_that_is_being_stopped_is_not_asked_for(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, recorded_events: RecordedEvents
) -> None:
    wandb.stopped_runs.add("run")
    with sending_heartbeats(wandb_client, recorded_events, agent_id) as heartbeat:
        heartbeat.set_active_jobs((MonitoredRun("item", ENTITY, "tests", "run", stopping=True),), ())
        wait_until(lambda: "RUNNING" in wandb.statuses[agent_id], what="the job is known")
        wait_until(lambda: wandb.asked["LaunchAgent"] > 5, what="some turns")
    assert wandb.asked["RunStoppedStatus"] == 0
    assert recorded_events.of(StopRequested) == []


def test_a_refusal_does_not_end_the_heartbeats(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    heartbeat = make_heartbeat(wandb_client, recorded_events, "agent-1")
    wandb.statuses["agent-1"] = []
    wandb.refused.add("LaunchAgent")
    heartbeat.start()
    wait_until(lambda: wandb.asked["updateLaunchAgent"], what="it began")
    wait_until(lambda: wandb.refusals > 1, what="two refusals")
    wandb.stop_polling = True
    wandb.refused.clear()
    assert recorded_events.wait_for(StopRequested)[0].stop_polling
    heartbeat.end()


# The launchd server.


def claimed_item(api: Api) -> tuple[str, str]:
    queue = fresh_name("queue")
    agent = api.create_agent(api.create_queue(queue))
    item = api.push(queue)
    assert api.claim(agent, "claim") == [item]
    api.ack(agent, item)
    return agent, item


def request_stop(api: Api, item: str) -> None:
    api.mutate("stopRunQueueItem", "success", runQueueItemId=item, reason="enough")


def test_a_stop_request_is_heard_while_it_is_waited_for(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    agent, item = claimed_item(api)
    with sending_heartbeats(client, recorded_events, agent) as heartbeat:
        heartbeat.set_active_jobs((MonitoredRun(item, ENTITY, "p", "run"),), ())
        assert recorded_events.of(StopRequested) == []
        request_stop(api, item)
        assert recorded_events.wait_for(StopRequested, timeout=4.0)[0].stops == (StopRequest(item, "enough"),)


def test_a_stop_request_that_is_carried_out_is_not_heard_again(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    agent, item = claimed_item(api)
    request_stop(api, item)
    with sending_heartbeats(client, recorded_events, agent) as heartbeat:
        recorded_events.wait_for(StopRequested)
        heartbeat.set_active_jobs((MonitoredRun(item, ENTITY, "p", "run", stopping=True),), ())
        wait_until(lambda: _stays_silent(recorded_events), what="silence")


def _stays_silent(recorded_events: RecordedEvents) -> bool:
    heard = len(recorded_events.of(StopRequested))
    try:
        assert_stays(lambda: len(recorded_events.of(StopRequested)) == heard, 0.6)
    except AssertionError:
        return False
    return True


def test_the_launchd_server_tells_the_agent_to_stop(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    agent, _ = claimed_item(api)
    with sending_heartbeats(client, recorded_events, agent):
        client.stop_agent(agent)
        assert recorded_events.wait_for(StopRequested, timeout=4.0)[0].stop_polling


def test_a_stop_request_whose_answer_got_lost_is_given_again(
    native: RunningServer, api: Api, recorded_events: RecordedEvents
) -> None:
    agent, item = claimed_item(api)
    request_stop(api, item)
    with lossy_proxy(native.url) as proxy:
        proxy.to_lose["WatchLaunchAgent"] = 1
        client = QueueServer(proxy.url, native.key)
        with sending_heartbeats(client, recorded_events, agent) as heartbeat:
            assert recorded_events.wait_for(StopRequested)[0].stops == (StopRequest(item, "enough"),)
        client.stop_agent(agent)
        wait_until(lambda: not heartbeat.is_alive(), what="the heartbeat loop has ended")
        client.close()


# What agent and server disagree about.


def acknowledged_item(api: Api) -> tuple[str, HeldByServer]:
    """An agent of the incarnation of these tests, and an item that it has acknowledged."""
    queue = fresh_name("queue")
    agent = api.create_agent(api.create_queue(queue), incarnation=IDENTITY.incarnation)
    api.push(queue)
    [item] = api.claim_all(agent, "claim")["items"]
    api.ack(agent, item["runQueueItemId"], run="run")
    return agent, HeldByServer(item["runQueueItemId"], item["lease"], queue, "run")


def held(item: HeldByServer) -> HeldItem:
    return HeldItem(item.item_id, item.lease, item.run_id, acknowledged=True)


def test_an_item_that_the_agent_does_not_know_is_told(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    agent, item = acknowledged_item(api)
    with sending_heartbeats(client, recorded_events, agent) as heartbeat:
        assert recorded_events.wait_for(ItemsUnknown) == [ItemsUnknown((item,))]
        heartbeat.set_active_jobs((), (held(item),))
        assert_stays(lambda: len(recorded_events.of(ItemsUnknown)) == 1, 1.0, "what was told")


def test_an_item_that_the_agent_knows_by_the_next_heartbeat_is_not_told(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    """It was acknowledged while the first heartbeat was on its way."""
    agent, item = acknowledged_item(api)
    with lossy_proxy(client.base_url) as proxy:
        seen = QueueServer(proxy.url, api.key)
        heartbeat = make_heartbeat(seen, recorded_events, agent)
        heartbeat.start()
        wait_until(lambda: proxy.asked["WatchLaunchAgent"], what="the first heartbeat")
        heartbeat.set_active_jobs((), (held(item),))
        wait_until(lambda: proxy.asked["WatchLaunchAgent"] > 1, what="the second one")
        assert_stays(lambda: not recorded_events.of(ItemsUnknown), 1.0, "the item")
        heartbeat.end()
        wait_until(lambda: not heartbeat.is_alive(), what="the heartbeat loop has ended")
        seen.close()


def test_a_loop_that_has_ended_says_nothing_of_the_answer_to_its_open_request(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    agent, item = acknowledged_item(api)
    heartbeat = make_heartbeat(client, recorded_events, agent)
    heartbeat.set_active_jobs((), (held(item),))
    heartbeat.start()
    time.sleep(0.3)  # Its request waits at the server.
    heartbeat.end()
    request_stop(api, item.item_id)
    wait_until(lambda: not heartbeat.is_alive(), what="the heartbeat loop has ended")
    assert recorded_events.of(StopRequested) == []


def test_an_agent_that_has_to_resume_registers_again_once(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    """The server believes that the agent has left."""
    agent, item = acknowledged_item(api)
    client.update_agent(agent, "KILLED", IDENTITY.incarnation)
    heartbeat = make_heartbeat(client, recorded_events, agent)
    heartbeat.set_active_jobs((), (held(item),))
    heartbeat.start()
    assert recorded_events.wait_for(RegistrationLost) == [RegistrationLost(agent, MUST_RESUME)]
    client.resume_agent(agent, IDENTITY, [held(item)])
    client.update_agent(agent, "KILLED", IDENTITY.incarnation)
    assert_stays(lambda: len(recorded_events.of(RegistrationLost)) == 1, 1.0, "the loss")
    heartbeat.end()


@pytest.mark.parametrize(("known", "why"), [(False, "There is no launch agent"), (True, "is another process")])
def test_an_agent_that_is_not_this_one_registers_again_once(
    api: Api, client: QueueServer, recorded_events: RecordedEvents, known: bool, why: str
) -> None:
    """The server forgot it, or another process has become it."""
    agent = api.create_agent(api.create_queue(fresh_name("queue")), incarnation="another") if known else "no-such-agent"
    with lossy_proxy(client.base_url) as proxy:
        seen = QueueServer(proxy.url, api.key)
        with sending_heartbeats(seen, recorded_events, agent) as heartbeat:
            (lost,) = recorded_events.wait_for(RegistrationLost)
            assert (lost.agent_id, why in lost.reason) == (agent, True)
            asked = proxy.asked["WatchLaunchAgent"]
            wait_until(lambda: proxy.asked["WatchLaunchAgent"] > asked + 2, what="it goes on")
        assert len(recorded_events.of(RegistrationLost)) == 1
        wait_until(lambda: not heartbeat.is_alive(), what="the heartbeat loop has ended")
        seen.close()
