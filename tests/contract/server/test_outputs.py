"""Output on its way through the server: sent while a reader looks, kept at its end, for those who may see the item."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from launchd.client.errors import Refused
from launchd.client.models.outputs import OutputPiece
from launchd.client.queue_server import QueueServer
from launchd.server.files.output_store import KEPT_BYTES
from launchd.server.routes.outputs import MOST_BYTES
from tests.contract.server.conftest import QueueAndAgent
from tests.support.accounts import Accounts
from tests.support.server import Api, RunningServer

pytestmark = pytest.mark.dialect

INCARNATION = "one"


@pytest.fixture
def client(server: RunningServer) -> Iterator[QueueServer]:
    with closing(QueueServer(server.url, server.key)) as opened:
        yield opened


@pytest.fixture
def agent(api: Api, queue_and_agent: QueueAndAgent) -> str:
    return api.create_agent(queue_and_agent.queue_id, incarnation=INCARNATION)


@pytest.fixture
def item(api: Api, queue_and_agent: QueueAndAgent, agent: str) -> str:
    """An item that runs."""
    item = api.push(queue_and_agent.queue)
    assert api.claim(agent, "c") == [item]
    assert api.ack(agent, item) == [True]
    return item


def piece(content: bytes, start: int = 0, *, last: bool = False, attempt: str = "a-1") -> OutputPiece:
    return OutputPiece(attempt=attempt, start=start, content=content, size=start + len(content), is_last=last)


def wanted(api: Api, agent: str, *seen: str, wait: float = 0.0) -> list[str]:
    answer = api.mutate(
        "watchLaunchAgent",
        "outputs",
        launchAgentId=agent,
        agentStatus="RUNNING",
        seenStops=[],
        seenOutputs=list(seen),
        waitSeconds=wait,
    )
    outputs: list[str] = answer["outputs"]
    return outputs


def test_a_look_wakes_the_agent_and_its_answer_the_look(api: Api, client: QueueServer, agent: str, item: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        watch = pool.submit(wanted, api, agent, wait=20)
        look = ThreadPoolExecutor(1).submit(client.read_output, item, "", 0, 20)
        assert watch.result(10) == [item]

        began = time.monotonic()
        assert 0 < client.send_output(item, agent, INCARNATION, piece(b"line\n")) <= 30
        part, content = look.result(5)
    assert time.monotonic() - began < 1
    assert (content, part.start, part.size, part.is_fresh, part.is_complete) == (b"line\n", 0, 5, True, False)
    assert (part.state, part.has_ended, part.is_sent, part.hostname) == ("CLAIMED", False, True, "host1")
    assert wanted(api, agent, item) == []


def test_what_nobody_looks_at_is_not_asked_for(api: Api, client: QueueServer, agent: str, item: str) -> None:
    assert wanted(api, agent) == []
    assert client.send_output(item, agent, INCARNATION, piece(b"x")) == 0
    # An agent that does not say what it sends is not asked, however many look.
    client.read_output(item, "a-1", 1, 0.1)
    watched = api.mutate(
        "watchLaunchAgent", "outputs", launchAgentId=agent, agentStatus="RUNNING", seenStops=[], waitSeconds=0
    )
    assert watched == {"outputs": []}


def test_reading_goes_on_where_it_stopped(client: QueueServer, agent: str, item: str) -> None:
    client.send_output(item, agent, INCARNATION, piece(b"first "))
    client.send_output(item, agent, INCARNATION, piece(b"second", 6))
    # An answer that was lost: the same piece again.
    client.send_output(item, agent, INCARNATION, piece(b"second", 6))

    assert client.read_output(item)[1] == b"first second"
    assert client.read_output(item, "a-1", 6)[1] == b"second"
    assert client.read_output(item, "another", 6)[1] == b"first second"


def test_a_gap_and_another_attempt_begin_anew(client: QueueServer, agent: str, item: str) -> None:
    client.send_output(item, agent, INCARNATION, piece(b"old"))
    client.send_output(item, agent, INCARNATION, piece(b"new", 100))
    part, content = client.read_output(item, "a-1", 3)
    assert (part.start, content) == (100, b"new")

    client.send_output(item, agent, INCARNATION, piece(b"again", attempt="a-2"))
    part, content = client.read_output(item, "a-1", 103)
    assert (part.attempt, part.start, content) == ("a-2", 0, b"again")


def test_the_end_is_kept_and_no_more_than_that(api: Api, client: QueueServer, agent: str, item: str) -> None:
    pieces = 2 * KEPT_BYTES // MOST_BYTES + 1
    for number in range(pieces):
        content = bytes([65 + number]) * MOST_BYTES
        client.send_output(item, agent, INCARNATION, piece(content, number * MOST_BYTES, last=number == pieces - 1))
    assert api.report(agent, item, 1, "finished")

    part, content = client.read_output(item)
    assert (part.start, part.size, len(content)) == (pieces * MOST_BYTES - KEPT_BYTES, pieces * MOST_BYTES, MOST_BYTES)
    last, content = client.read_output(item, "a-1", (pieces - 1) * MOST_BYTES)
    assert content == bytes([65 + pieces - 1]) * MOST_BYTES
    # A reading of an output that is over does not wait.
    end, nothing = client.read_output(item, "a-1", pieces * MOST_BYTES, 20)
    assert (nothing, end.is_complete, end.has_ended, last.is_complete) == (b"", True, True, True)


def test_a_piece_is_bounded_and_its_place_a_number(server: RunningServer, agent: str, item: str) -> None:
    client = QueueServer(server.url, server.key)
    with closing(client), pytest.raises(Refused, match="bigger than 262144 bytes"):
        client.send_output(item, agent, INCARNATION, piece(b"x" * (MOST_BYTES + 1)))
    with closing(client), pytest.raises(Refused, match="no negative number"):
        client.send_output(item, agent, INCARNATION, piece(b"x", -1))
    with closing(client), pytest.raises(Refused, match="query of the request is wrong"):
        client.transport.send(f"launchd/outputs/{item}/pieces", {"agent": agent, "start": "x"}, b"x")


def test_only_the_agent_that_has_the_item_sends_its_output(
    api: Api, client: QueueServer, queue_and_agent: QueueAndAgent, agent: str, item: str
) -> None:
    with pytest.raises(Refused, match="is not this agent's"):
        client.send_output(item, queue_and_agent.agent, INCARNATION, piece(b"forged"))
    with pytest.raises(Refused, match="another process"):
        client.send_output(item, agent, "two", piece(b"forged"))
    waiting = api.push(queue_and_agent.queue)
    with pytest.raises(Refused, match="is not this agent's"):
        client.send_output(waiting, agent, INCARNATION, piece(b"forged"))


def test_an_item_that_waits_says_that_no_agent_has_it(
    api: Api, client: QueueServer, queue_and_agent: QueueAndAgent
) -> None:
    part, content = client.read_output(api.push(queue_and_agent.queue))
    assert (content, part.hostname, part.state, part.is_sent) == (b"", None, "PENDING", False)


def test_a_name_that_a_header_cannot_hold_is_shown(
    api: Api, client: QueueServer, queue_and_agent: QueueAndAgent
) -> None:
    agent = api.create_agent(queue_and_agent.queue_id, hostname="höst\n1")
    item = api.push(queue_and_agent.queue)
    assert api.claim(agent, "c") == [item]
    # W&B's agent is no process that says which one it is, and sends nothing.
    assert json.dumps([client.read_output(item)[0].hostname, client.read_output(item)[0].is_sent]) == json.dumps(
        ["höst\n1", False]
    )


def test_a_stranger_and_a_key_that_may_only_look(
    accounts: Accounts, server: RunningServer, agent: str, item: str, client: QueueServer
) -> None:
    client.send_output(item, agent, INCARNATION, piece(b"secret"))
    _, stranger = accounts.user()
    with closing(QueueServer(server.url, stranger.key)) as other, pytest.raises(Refused, match="that you may use"):
        other.read_output(item)
