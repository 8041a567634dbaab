"""Several servers on one PostgreSQL: each sees the items, stop requests and leases of the others."""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.support.postgres import Cluster
from tests.support.server import Api, RefusedByServer, RunningServer, running_server, stored_in
from tests.support.waiting import wait_until

pytestmark = pytest.mark.parametrize("store", ["postgresql"], indirect=True)

LEASE_SECONDS = 3.0


@pytest.fixture
def servers(tmp_path: Path, store: Callable[[], str]) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Two servers over one database and one data directory."""
    database = store()
    options = ("--lease-seconds", str(LEASE_SECONDS), "--lease-scan-seconds", "0.2")
    with (
        stored_in(lambda: database),
        running_server(tmp_path, *options) as one,
        running_server(tmp_path, *options) as other,
    ):
        yield one, other


@pytest.fixture
def apis(servers: tuple[RunningServer, RunningServer]) -> Iterator[tuple[Api, Api]]:
    with servers[0].api() as one, servers[1].api() as other:
        yield one, other


def test_a_claim_that_waits_at_one_server_learns_of_a_push_at_the_other(apis: tuple[Api, Api]) -> None:
    one, other = apis
    agent = one.create_agent(one.create_queue("q"))
    with ThreadPoolExecutor(1) as pool:
        claimed = pool.submit(one.claim, agent, "c1", wait=25)
        wait_until(lambda: one.run("{ serverInfo { __typename } }") and not claimed.done(), what="the claim")
        item = other.push("q")
        assert claimed.result(10) == [item]


def test_a_stop_requested_at_one_server_reaches_the_agent_that_watches_at_the_other(apis: tuple[Api, Api]) -> None:
    one, other = apis
    agent = one.create_agent(one.create_queue("q"))
    item = one.push("q")
    assert one.claim(agent, "c1") == [item]
    assert one.ack(agent, item) == [True]
    watch = {"launchAgentId": agent, "agentStatus": "RUNNING", "seenStops": [], "waitSeconds": 25}
    with ThreadPoolExecutor(1) as pool:
        stops = pool.submit(one.mutate, "watchLaunchAgent", "stops { runQueueItemId reason }", **watch)
        other.mutate("stopRunQueueItem", "success", runQueueItemId=item, reason="enough")
        assert stops.result(10) == {"stops": [{"runQueueItemId": item, "reason": "enough"}]}


def test_leases_of_a_server_that_died_end_at_another_for_one_claimer(
    servers: tuple[RunningServer, RunningServer], apis: tuple[Api, Api]
) -> None:
    one, other = apis
    agent = one.create_agent(one.create_queue("q"))
    item = one.push("q")
    assert one.claim(agent, "c1") == [item]
    servers[0].kill()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(claim_once, servers[1], agent, f"w{number}") for number in range(2)]
        assert sorted(claim.result(20) for claim in waiting) == [[], [item]]
    assert other.state(item) == "LEASED"


def claim_once(server: RunningServer, agent: str, claim_id: str) -> list[str]:
    with server.api() as api:
        return api.claim(agent, claim_id, wait=LEASE_SECONDS * 1.5)


def test_a_link_of_one_server_works_at_the_other(servers: tuple[RunningServer, RunningServer]) -> None:
    assert servers[0].key == servers[1].key
    assert (servers[0].data_dir / "links.key").exists()


def test_servers_that_take_at_the_same_time_take_each_item_once(
    servers: tuple[RunningServer, RunningServer], apis: tuple[Api, Api]
) -> None:
    one, _ = apis
    queue = one.create_queue("q")
    pushed = {one.push("q") for _ in range(60)}
    agents = [one.create_agent(queue) for _ in range(6)]
    start = threading.Barrier(len(agents))

    def take(place: int) -> list[str]:
        taken: list[str] = []
        with servers[place % 2].api() as api:
            start.wait(10)
            while got := api.claim(agents[place], f"{place}-{len(taken)}", items=3):
                taken += [item for item, yes in zip(got, api.ack(agents[place], *got), strict=True) if yes]
        return taken

    with ThreadPoolExecutor(len(agents)) as pool:
        taken = [item for items in pool.map(take, range(len(agents))) for item in items]
    assert sorted(taken) == sorted(pushed)


def test_a_restart_of_the_database_is_answered_503_and_then_forgotten(
    servers: tuple[RunningServer, RunningServer], apis: tuple[Api, Api], cluster: Cluster
) -> None:
    one, other = apis
    agent = one.create_agent(one.create_queue("q"))
    before = one.push("q")
    cluster.stop(signal.SIGINT)
    for _ in range(3):
        with pytest.raises(RefusedByServer, match="503: The queue server cannot reach its database at present"):
            one.push("q")
    assert requests.get(f"{one.url}/healthz", timeout=10).json() == {"status": "ok"}
    cluster.start()
    assert one.claim(agent, "c1") == [before]
    with ThreadPoolExecutor(1) as pool:
        claimed = pool.submit(one.claim, agent, "c2", wait=25)
        pushed = other.push("q")
        assert claimed.result(10) == [pushed]
    assert "Traceback" not in servers[0].log + servers[1].log
