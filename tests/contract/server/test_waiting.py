"""Waiting for work and for stop requests, without polling."""

import base64
import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.server import Api, RunningServer, running_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.dialect


def test_a_claim_that_waits_is_answered_by_a_push(
    server: RunningServer, api: Api, queue_and_agent: QueueAndAgent
) -> None:
    with ThreadPoolExecutor(1) as pool, server.api() as waiting:
        claim = pool.submit(waiting.claim, queue_and_agent.agent, "c1", wait=20)
        item = api.push(queue_and_agent.queue)
        assert claim.result(5) == [item]


def test_a_claim_that_waits_in_vain_is_answered_empty(api: Api, queue_and_agent: QueueAndAgent) -> None:
    started = time.monotonic()
    assert api.claim_all(queue_and_agent.agent, "c1", wait=0.3) == {"items": [], "stopPolling": False}
    assert 0.3 <= time.monotonic() - started < 3


def test_a_claim_that_waits_is_answered_by_work_given_back(
    server: RunningServer, api: Api, queue_and_agent: QueueAndAgent
) -> None:
    other = api.create_agent(queue_and_agent.queue_id)
    item = api.push(queue_and_agent.queue)
    assert api.claim(other, "o1") == [item]
    with ThreadPoolExecutor(1) as pool, server.api() as waiting:
        claim = pool.submit(waiting.claim, queue_and_agent.agent, "c1", wait=20)
        api.mutate("returnRunQueueItems", "returned", launchAgentId=other, runQueueItemIds=[item])
        assert claim.result(5) == [item]


def test_stopping_an_agent_ends_its_claims_and_watches(
    server: RunningServer, api: Api, queue_and_agent: QueueAndAgent
) -> None:
    def watch(client: Api) -> object:
        return client.mutate(
            "watchLaunchAgent",
            "stopPolling",
            launchAgentId=queue_and_agent.agent,
            agentStatus="POLLING",
            seenStops=[],
            waitSeconds=20,
        )

    with ThreadPoolExecutor(2) as pool, server.api() as one, server.api() as two:
        claim = pool.submit(one.claim_all, queue_and_agent.agent, "c1", wait=20)
        stops = pool.submit(watch, two)
        assert api.mutate("stopLaunchAgent", "success", launchAgentId=queue_and_agent.agent) == {"success": True}
        assert claim.result(5) == {"items": [], "stopPolling": True}
        assert stops.result(5) == {"stopPolling": True}
    api.push(queue_and_agent.queue)
    assert api.claim_all(queue_and_agent.agent, "c2", wait=5) == {"items": [], "stopPolling": True}
    assert api.pop(queue_and_agent.queue, queue_and_agent.agent) is None


def test_a_watch_is_answered_by_a_new_stop_and_not_by_a_seen_one(
    server: RunningServer, api: Api, queue_and_agent: QueueAndAgent
) -> None:
    items = [api.push(queue_and_agent.queue) for _ in range(2)]
    api.claim(queue_and_agent.agent, "c1", items=2)
    api.mutate("stopRunQueueItem", "success", runQueueItemId=items[0], reason="old")

    def watch(client: Api, wait: float) -> object:
        return client.mutate(
            "watchLaunchAgent",
            "stops { runQueueItemId reason }",
            launchAgentId=queue_and_agent.agent,
            agentStatus="RUNNING",
            seenStops=[items[0]],
            waitSeconds=wait,
        )

    assert watch(api, 0.1) == {"stops": []}
    with ThreadPoolExecutor(1) as pool, server.api() as waiting:
        stops = pool.submit(watch, waiting, 20)
        api.mutate("stopRunQueueItem", "success", runQueueItemId=items[1], reason="new")
        assert stops.result(5) == {"stops": [{"runQueueItemId": items[1], "reason": "new"}]}


def _send_claim_and_leave(server: RunningServer, agent: str) -> socket.socket:
    """A claim that waits, on a socket of its own."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port)
    values = {"launchAgentId": agent, "claimId": "gone", "maxItems": 1, "maxSchedulers": 0, "waitSeconds": 25}
    query = "mutation($i: ClaimRunQueueItemsInput!) { claimRunQueueItems(input: $i) { items { runQueueItemId } } }"
    credentials = base64.b64encode(f"api:{server.key}".encode()).decode()
    body = json.dumps({"query": query, "variables": {"i": values}})
    connection.request("POST", "/graphql", body, {"Authorization": f"Basic {credentials}"})
    return connection.sock


def test_nothing_is_leased_for_a_client_that_has_gone(
    server: RunningServer, api: Api, queue_and_agent: QueueAndAgent
) -> None:
    for turn in range(20):
        _send_claim_and_leave(server, queue_and_agent.agent).close()
        # Another claim of the same agent, so that the push finds both waiting.
        with ThreadPoolExecutor(1) as pool, server.api() as waiting:
            claim = pool.submit(waiting.claim, queue_and_agent.agent, f"here{turn}", wait=20)
            item = api.push(queue_and_agent.queue)
            assert claim.result(5) == [item], "the item went to the client that had left"


def test_a_stop_of_the_server_answers_waiting_requests(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, server.api() as api:
        agent = api.create_agent(api.create_queue("q"))
        with ThreadPoolExecutor(8) as pool:
            clients = [server.api() for _ in range(8)]
            claims = [pool.submit(client.claim, agent, f"c{n}", wait=25) for n, client in enumerate(clients)]
            wait_until(lambda: len(_connections(server)) >= 8, what="eight waiting claims")
            started = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - started < 5
            assert [claim.result(5) for claim in claims] == [[]] * 8
            for client in clients:
                client.close()


def _connections(server: RunningServer) -> list[object]:
    found = psutil.Process(server.process.pid).net_connections(kind="tcp")
    return [connection for connection in found if connection.status == psutil.CONN_ESTABLISHED]
