"""The watcher: hears that jobs, or the agent itself, are to stop, and shows that the agent lives."""

import time

import pytest

from launchd.agent.events import Ordered, Registered
from launchd.agent.server_link.agent_run import AgentRun
from launchd.agent.server_link.heartbeat import STOPPED_RUN_REASON, WatchedRun, Watcher
from launchd.client.queue_server import QueueServer, StopOrder
from tests.support.lossy_proxy import lossy_proxy
from tests.support.recorded_events import Mail
from tests.support.server import Api, RunningServer, fresh_name
from tests.support.threads import watching
from tests.support.waiting import assert_stays, wait_until
from tests.support.wandb_server import ENTITY, WandbServer

RUN = WatchedRun("item", ENTITY, "tests", "run")


@pytest.fixture
def agent_id(wandb_client: QueueServer) -> str:
    return wandb_client.create_agent(ENTITY, ["queue-a"], "host", {}, "launchd@test")


def orders(mail: Mail) -> list[StopOrder]:
    return [stop for letter in mail.of(Ordered) for stop in letter.stops]


# W&B's server.


def test_the_agent_is_told_to_stop(wandb: WandbServer, wandb_client: QueueServer, agent_id: str, mail: Mail) -> None:
    with watching(wandb_client, mail, agent_id):
        wait_until(lambda: wandb.asked["LaunchAgent"] > 1, what="two questions")
        assert mail.of(Ordered) == []
        wandb.stop_polling = True
        assert mail.wait_for(Ordered)[0] == Ordered((), stop_polling=True)


def test_only_a_change_of_the_status_is_told(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, mail: Mail
) -> None:
    with watching(wandb_client, mail, agent_id) as watcher:
        wait_until(lambda: wandb.asked["LaunchAgent"] > 2, what="three turns without a job")
        watcher.watch_over((RUN,))
        wait_until(lambda: wandb.asked["RunStoppedStatus"] > 2, what="three turns with a job")
        watcher.watch_over(())
        wait_until(lambda: len(wandb.statuses[agent_id]) > 2, what="the job's end is told")
    assert wandb.statuses[agent_id] == ["POLLING", "RUNNING", "POLLING"]


def test_a_stopped_run_is_stopped_after_its_time(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, mail: Mail
) -> None:
    wandb.stopped_runs.add("run")
    with watching(wandb_client, mail, agent_id, patience=0.5) as watcher:
        begun = time.monotonic()
        watcher.watch_over((RUN, WatchedRun("other", ENTITY, "tests", "other-run")))
        mail.wait_for(Ordered)
        assert time.monotonic() - begun >= 0.5
    assert set(orders(mail)) == {StopOrder("item", STOPPED_RUN_REASON)}


def test_a_run_that_goes_on_in_time_is_left_alone(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, mail: Mail
) -> None:
    wandb.stopped_runs.add("run")
    with watching(wandb_client, mail, agent_id, patience=1.0) as watcher:
        watcher.watch_over((RUN,))
        wait_until(lambda: wandb.asked["RunStoppedStatus"] > 2, what="it was seen to be stopped")
        wandb.stopped_runs.clear()
        assert_stays(lambda: not mail.of(Ordered), 1.5, "the run")


def test_a_job_that_is_being_stopped_is_not_asked_for(
    wandb: WandbServer, wandb_client: QueueServer, agent_id: str, mail: Mail
) -> None:
    wandb.stopped_runs.add("run")
    with watching(wandb_client, mail, agent_id) as watcher:
        watcher.watch_over((WatchedRun("item", ENTITY, "tests", "run", stopping=True),))
        wait_until(lambda: "RUNNING" in wandb.statuses[agent_id], what="the job is known")
        wait_until(lambda: wandb.asked["LaunchAgent"] > 5, what="some turns")
    assert wandb.asked["RunStoppedStatus"] == 0
    assert mail.of(Ordered) == []


def test_a_refusal_does_not_end_the_watch(wandb: WandbServer, wandb_client: QueueServer, mail: Mail) -> None:
    known = Registered("agent-1", "name", ENTITY, ("a",), wandb_client.capabilities())
    watcher = Watcher(
        wandb_client,
        known,
        mail.inbox,
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
    assert mail.wait_for(Ordered)[0].stop_polling
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


def test_an_order_is_heard_while_it_is_waited_for(api: Api, client: QueueServer, mail: Mail) -> None:
    agent, item = claimed_item(api)
    with watching(client, mail, agent) as watcher:
        watcher.watch_over((WatchedRun(item, ENTITY, "p", "run"),))
        assert mail.of(Ordered) == []
        request_stop(api, item)
        assert mail.wait_for(Ordered, timeout=4.0)[0].stops == (StopOrder(item, "enough"),)


def test_an_order_that_is_obeyed_is_not_heard_again(api: Api, client: QueueServer, mail: Mail) -> None:
    agent, item = claimed_item(api)
    request_stop(api, item)
    with watching(client, mail, agent) as watcher:
        mail.wait_for(Ordered)
        watcher.watch_over((WatchedRun(item, ENTITY, "p", "run", stopping=True),))
        wait_until(lambda: _stays_silent(mail), what="silence")


def _stays_silent(mail: Mail) -> bool:
    heard = len(mail.of(Ordered))
    try:
        assert_stays(lambda: len(mail.of(Ordered)) == heard, 0.6)
    except AssertionError:
        return False
    return True


def test_our_server_tells_the_agent_to_stop(api: Api, client: QueueServer, mail: Mail) -> None:
    agent, _ = claimed_item(api)
    with watching(client, mail, agent):
        client.stop_agent(agent)
        assert mail.wait_for(Ordered, timeout=4.0)[0].stop_polling


def test_an_order_whose_answer_got_lost_is_given_again(native: RunningServer, api: Api, mail: Mail) -> None:
    agent, item = claimed_item(api)
    request_stop(api, item)
    with lossy_proxy(native.url) as proxy:
        proxy.to_lose["WatchLaunchAgent"] = 1
        client = QueueServer(proxy.url, native.key)
        with watching(client, mail, agent) as watcher:
            assert mail.wait_for(Ordered)[0].stops == (StopOrder(item, "enough"),)
        client.stop_agent(agent)
        wait_until(lambda: not watcher.is_alive(), what="the watcher has ended")
        client.close()
