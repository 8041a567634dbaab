"""Registering: whose key, which queues, and the same agent again after a restart."""

import msgspec
import pytest

from launchd.agent.events import Registered
from launchd.agent.server_link import registration
from launchd.agent.server_link.launchd_protocol import LaunchdProtocol
from launchd.agent.server_link.registration import RegistrationRequest, choose_protocol, default_version
from launchd.agent.server_link.wandb_protocol import WandbProtocol
from launchd.client.errors import Refused
from launchd.client.queue_server import QueueServer
from tests.support.server import Api, fresh_name
from tests.support.wandb_server import Flavour, WandbServer, wandb_server


@pytest.fixture
def queue(api: Api) -> str:
    name = fresh_name("queue")
    api.create_queue(name)
    return name


def request(*queues: str, entity: str | None = "me") -> RegistrationRequest:
    return RegistrationRequest(entity, queues, {"max_jobs": 2}, default_version())


def again(first: RegistrationRequest, agent_id: str, *items: str) -> RegistrationRequest:
    return msgspec.structs.replace(first, remembered_id=agent_id, known_items=items)


def register(server: QueueServer, what: RegistrationRequest) -> Registered:
    return registration.register(server, choose_protocol(server), what)


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
    assert (agent.name, agent.version) == (registered.agent_name, default_version())
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
    register(client, again(request(queue), agent_id, known))
    assert (api.state(known), api.state(unknown)) == ("LEASED", "PENDING")


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
