"""Registering: whose key, which queues, and the same agent again after a restart."""

import msgspec
import pytest

from launchd.agent.events import Registered, RegistrationRefused
from launchd.agent.server_link.launchd_protocol import LaunchdProtocol
from launchd.agent.server_link.registration import (
    Registration,
    RegistrationRequest,
    RegistrationThread,
    choose_protocol,
)
from launchd.agent.server_link.wandb_protocol import WandbProtocol
from launchd.client.errors import Refused
from launchd.client.queue_server import HeldByServer, HeldItem, ItemAnswer, QueueServer
from tests.support.lossy_proxy import lossy_proxy
from tests.support.recorded_events import RecordedEvents
from tests.support.server import Api, RunningServer, fresh_name
from tests.support.threads import IDENTITY
from tests.support.waiting import wait_until
from tests.support.wandb_server import Flavour, WandbServer, wandb_server


@pytest.fixture
def queue(api: Api) -> str:
    name = fresh_name("queue")
    api.create_queue(name)
    return name


def request(*queues: str, entity: str | None = "me") -> RegistrationRequest:
    return RegistrationRequest(entity, queues, {"max_jobs": 2}, IDENTITY)


def again(first: RegistrationRequest, agent_id: str) -> RegistrationRequest:
    return msgspec.structs.replace(first, remembered_id=agent_id)


def register(server: QueueServer, what: RegistrationRequest, *held: HeldItem) -> Registered:
    return Registration(server, choose_protocol(server), what).register(lambda: held)


def results(registered: Registered) -> dict[str, ItemAnswer]:
    assert registered.resumed is not None
    return {one.item_id: one.answer for one in registered.resumed.results}


def test_the_protocol_is_the_one_that_the_server_speaks(client: QueueServer, wandb_client: QueueServer) -> None:
    assert type(choose_protocol(client)) is LaunchdProtocol
    assert type(choose_protocol(wandb_client)) is WandbProtocol


def test_the_entity_is_the_keys_own_where_none_is_named(client: QueueServer, queue: str) -> None:
    registered = register(client, request(queue, entity=None))
    assert registered.entity == "me"
    assert registered.queue_names == (queue,)


def test_the_server_shows_what_was_registered(client: QueueServer, queue: str) -> None:
    registered = register(client, request(queue))
    agent = client.agent(registered.agent_id)
    assert agent is not None
    assert (agent.name, agent.version) == (registered.agent_name, IDENTITY.version)
    assert agent.queue_names == (queue,)


def test_a_missing_queue_is_named_beside_those_there_are(client: QueueServer, queue: str) -> None:
    with pytest.raises(Refused) as refused:
        register(client, request(queue, "nowhere", "neverwhere"))
    assert "There are no queues nowhere, neverwhere of entity me" in str(refused.value)
    assert queue in str(refused.value).partition("Its queues:")[2]
    assert "launchd queue create" in str(refused.value)


def test_after_a_restart_it_is_the_same_agent(client: QueueServer, queue: str) -> None:
    first = request(queue)
    agent_id = register(client, first).agent_id
    assert register(client, again(first, agent_id)).agent_id == agent_id


def test_with_other_queues_it_is_another_agent(api: Api, client: QueueServer, queue: str) -> None:
    other = fresh_name("queue")
    api.create_queue(other)
    agent_id = register(client, request(queue)).agent_id
    assert register(client, again(request(queue, other), agent_id)).agent_id != agent_id


def test_the_order_of_the_queues_does_not_matter(api: Api, client: QueueServer, queue: str) -> None:
    other = fresh_name("queue")
    api.create_queue(other)
    agent_id = register(client, request(queue, other)).agent_id
    assert register(client, again(request(other, queue), agent_id)).agent_id == agent_id


def test_an_agent_that_was_told_to_stop_does_not_come_back(client: QueueServer, queue: str) -> None:
    agent_id = register(client, request(queue)).agent_id
    client.stop_agent(agent_id)
    assert register(client, again(request(queue), agent_id)).agent_id != agent_id


def test_an_agent_that_the_server_forgot_is_made_anew(client: QueueServer, queue: str) -> None:
    assert register(client, again(request(queue), "no-such-agent")).agent_id != "no-such-agent"


def test_what_was_leased_and_is_unknown_goes_back(api: Api, client: QueueServer, queue: str) -> None:
    agent_id = register(client, request(queue)).agent_id
    known, unknown = api.push(queue), api.push(queue)
    assert api.claim(agent_id, "claim", items=2) == [known, unknown]
    registered = register(client, again(request(queue), agent_id), HeldItem(known, 0, None, acknowledged=False))
    assert registered.resumed is not None
    assert registered.resumed.returned == (unknown,)
    assert (api.state(known), api.state(unknown)) == ("LEASED", "PENDING")


# The items that it has.


def acknowledged(api: Api, agent_id: str, queue: str) -> HeldItem:
    api.push(queue)
    [item] = api.claim_all(agent_id, fresh_name("claim"))["items"]
    held = HeldItem(item["runQueueItemId"], item["lease"], "run", acknowledged=True)
    ack = {"runQueueItemId": held.item_id, "lease": held.lease, "runName": "run"}
    assert api.results_of_acks(agent_id, ack)[0]["success"]
    return held


def holder(api: Api, item: HeldItem) -> tuple[str, str]:
    found = api.item(item.item_id)
    assert found is not None
    return found["state"], found["launchAgentId"]


def test_each_held_item_has_an_answer_and_the_others_are_named(api: Api, client: QueueServer, queue: str) -> None:
    agent_id = register(client, request(queue)).agent_id
    held, forgotten = acknowledged(api, agent_id, queue), acknowledged(api, agent_id, queue)
    gone = HeldItem("no-such-item", 1, "run", acknowledged=False)
    registered = register(client, again(request(queue), agent_id), held, gone)
    assert results(registered) == {held.item_id: ItemAnswer.TAKEN, gone.item_id: ItemAnswer.UNKNOWN}
    assert registered.resumed is not None
    assert registered.resumed.unknown_to_agent == (HeldByServer(forgotten.item_id, forgotten.lease, queue, "run"),)


def test_with_other_queues_its_jobs_move_along(api: Api, client: QueueServer, queue: str) -> None:
    other = fresh_name("queue")
    api.create_queue(other)
    agent_id = register(client, request(queue)).agent_id
    held = acknowledged(api, agent_id, queue)
    registered = register(client, again(request(queue, other), agent_id), held)
    assert results(registered) == {held.item_id: ItemAnswer.TAKEN}
    assert holder(api, held) == ("CLAIMED", registered.agent_id)
    before = client.agent(agent_id)
    assert before is not None
    assert before.status == "KILLED"


def test_at_a_restored_server_that_forgot_the_agent_its_jobs_move_along(
    api: Api, client: QueueServer, queue: str
) -> None:
    """The copy is older than the agent and its items: to the server they wait, under a number that it never gave."""
    waiting = api.push(queue)
    held = HeldItem(waiting, 2**40, "run", acknowledged=True)
    registered = register(client, again(request(queue), "forgotten"), held)
    assert results(registered) == {waiting: ItemAnswer.TAKEN}
    assert holder(api, held) == ("CLAIMED", registered.agent_id)


def test_a_registration_whose_answers_got_lost_makes_one_agent(
    native: RunningServer, queue: str, recorded_events: RecordedEvents
) -> None:
    with lossy_proxy(native.url) as proxy:
        proxy.to_lose.update({"ResumeLaunchAgent": 2, "LaunchAgent": 1})
        client = QueueServer(proxy.url, native.key)
        before = [agent.id for agent in client.agents("me")]
        thread = RegistrationThread(client, again(request(queue), "forgotten"), recorded_events.queue, None)
        thread.held = (HeldItem("no-such-item", 1, None, acknowledged=False),)
        thread.start()
        (registered,) = recorded_events.wait_for(Registered, timeout=20.0)
        made = {agent.id for agent in client.agents("me")} - set(before)
        assert made == {registered.agent_id}
        assert results(registered) == {"no-such-item": ItemAnswer.UNKNOWN}
        client.close()


def test_the_items_are_those_of_the_last_repetition(
    native: RunningServer, api: Api, queue: str, recorded_events: RecordedEvents
) -> None:
    """While the server is away, jobs end."""
    agent_id = api.create_agent(api_queue_id(api, queue), incarnation=IDENTITY.incarnation)
    ended, held = acknowledged(api, agent_id, queue), acknowledged(api, agent_id, queue)
    with lossy_proxy(native.url) as proxy:
        proxy.to_lose["ResumeLaunchAgent"] = 2
        client = QueueServer(proxy.url, native.key)
        what = again(request(queue), agent_id)
        thread = RegistrationThread(client, what, recorded_events.queue, None, (ended, held))
        thread.start()
        wait_until(lambda: proxy.asked["ResumeLaunchAgent"], what="the first request")
        thread.held = (held,)
        (registered,) = recorded_events.wait_for(Registered, timeout=20.0)
        client.close()
    assert results(registered) == {held.item_id: ItemAnswer.TAKEN}


def api_queue_id(api: Api, queue: str) -> str:
    query = 'query($q: String!) { project(name: "model-registry") { runQueue(name: $q) { id } } }'
    queue_id: str = api.run(query, {"q": queue})["project"]["runQueue"]["id"]
    return queue_id


@pytest.mark.usefixtures("quick_retries")
def test_a_second_living_process_of_an_agent_is_refused_until_the_first_has_left(
    api: Api, client: QueueServer, queue: str, recorded_events: RecordedEvents
) -> None:
    """The state directory was copied."""
    agent_id = api.create_agent(api_queue_id(api, queue), incarnation="of-the-other-host")
    thread = RegistrationThread(client, again(request(queue), agent_id), recorded_events.queue, None)
    thread.start()
    (refused, *_) = recorded_events.wait_for(RegistrationRefused)
    assert "is another process, on host 'host1'" in refused.error
    client.update_agent(agent_id, "KILLED", "of-the-other-host")
    assert recorded_events.wait_for(Registered)[0].agent_id == agent_id


def test_a_team_is_known_as_one(api: Api, client: QueueServer, queue: str) -> None:
    assert not register(client, request(queue)).for_team
    team = fresh_name("team")
    api.mutate("createTeam", "entity { name }", teamName=team)
    api.create_queue(queue, entity=team)
    assert register(client, request(queue, entity=team)).for_team


# W&B's server.


def test_a_team_of_wandbs_server_is_known_as_one(wandb_client: QueueServer, wandb: WandbServer) -> None:
    assert not register(wandb_client, request("a")).for_team
    wandb.is_team = True
    assert register(wandb_client, request("a")).for_team


def test_at_wandbs_server_every_start_is_a_new_agent(wandb_client: QueueServer, wandb: WandbServer) -> None:
    first = register(wandb_client, request("a", "b"))
    second = register(wandb_client, again(request("a", "b"), first.agent_id))
    assert [first.agent_id, second.agent_id] == list(wandb.statuses)
    assert not first.capabilities.launchd_protocol


def test_a_default_queue_is_made_for_an_entity_without_any() -> None:
    with wandb_server("default") as server:
        server.queues = ()
        client = QueueServer(server.url, server.key)
        assert register(client, request("default")).queue_names == ("default",)
        assert server.queues == ("default",)
        client.close()


def test_another_missing_queue_is_not_made() -> None:
    with wandb_server("default") as server:
        server.queues = ()
        client = QueueServer(server.url, server.key)
        with pytest.raises(Refused, match="Its queues: none"):
            register(client, request("gpu"))
        client.close()


def test_an_old_server_is_served_without_a_registration() -> None:
    with wandb_server("a", flavour=Flavour.OLD) as server:
        client = QueueServer(server.url, server.key)
        registered = register(client, request("a"))
        assert (registered.agent_id, registered.agent_name) == ("", "")
        assert server.foreign == []
        client.close()
