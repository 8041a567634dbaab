"""Sixteen agents on one queue while servers are killed at random: each item is claimed and finished exactly once.

The short run has fewer items between two deaths, and fewer deaths, than the long one (``--long``).
"""

import collections
import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from launchd.server.settings import ServerSettings
from launchd.server.store.factory import migration_transaction
from tests.support.long_tests import is_long
from tests.support.server import RunningServer, running_server, stored_in
from tests.support.stress_clients import ChaosThread, Claimer, Pusher, RetryingClient, WandbClaimer
from tests.support.waiting import wait_until

AGENTS, AS_WANDB = 16, 4
SECONDS = 480
OPTIONS = ("--lease-seconds", "5", "--lease-scan-seconds", "1")


@dataclass(frozen=True)
class Campaign:
    """How much there is to do, and about how often a server dies meanwhile; when, is left to chance."""

    items: int
    kills: int


SHORT, LONG = Campaign(400, 3), Campaign(10_000, 10)


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> Campaign:
    return LONG if is_long(request.config) else SHORT


@contextmanager
def running(database: str | None, directory: Path) -> Iterator[list[RunningServer]]:
    """One server on SQLite, two on PostgreSQL."""
    with ExitStack() as stack:
        stack.enter_context(stored_in((lambda: database) if database else None))
        yield [stack.enter_context(running_server(directory, *OPTIONS)) for _ in range(2 if database else 1)]


@pytest.mark.dialect
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_each_item_is_claimed_and_finished_exactly_once(
    store: str, campaign: Campaign, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database = request.getfixturevalue("cluster").fresh_database() if store == "postgresql" else None
    done = threading.Event()
    with running(database, tmp_path) as servers:
        claimers, pushers = hire(servers, done, campaign.items)
        step = campaign.items * len(servers) // campaign.kills
        killers = [
            ChaosThread(server, done, seed, lambda: finished(claimers), step) for seed, server in enumerate(servers)
        ]
        everybody: list[threading.Thread] = [*claimers, *pushers, *killers]
        for thread in everybody:
            thread.start()
        try:
            wait_until(
                lambda: finished(claimers) >= campaign.items or errors([*claimers, *pushers]), SECONDS, "the last item"
            )
        finally:
            done.set()
            for thread in everybody:
                thread.join(60)
    assert errors([*claimers, *pushers]) == []
    assert sum(killer.kills for killer in killers) >= campaign.kills // 3
    pushed = [item for pusher in pushers for item in pusher.pushed]
    assert len(set(pushed)) == len(pushed) == campaign.items
    taken = collections.Counter(item for claimer in claimers for item in claimer.runs)
    assert taken == collections.Counter(pushed)
    # In a short campaign, an agent that a death has made wait for long may find nothing left.
    without = sum(not claimer.runs for claimer in claimers)
    assert without <= (0 if campaign is LONG else AGENTS // 4), "nearly everybody had a share"
    check_store(ServerSettings(data_dir=servers[0].data_dir, database=database), claimers, campaign.items)


def hire(servers: list[RunningServer], done: threading.Event, items: int) -> tuple[list[Claimer], list[Pusher]]:
    """Agents and submitters, spread over the servers."""
    with servers[0].api() as api:
        queue = api.create_queue("q")
        agents = [api.create_agent(queue) for _ in range(AGENTS)]
    at = itertools.cycle(servers)
    claimers = [
        WandbClaimer(next(at), done, agent, f"w{number}", "q")
        if number < AS_WANDB
        else Claimer(next(at), done, agent, f"c{number}")
        for number, agent in enumerate(agents)
    ]
    keys = [f"item-{number}" for number in range(items)]
    return claimers, [Pusher(next(at), done, "q", keys[start::2]) for start in range(2)]


def check_store(settings: ServerSettings, claimers: list[Claimer], items: int) -> None:
    """Every item has ended, as the run that its claimer made of it, and there is no other run."""
    with migration_transaction(settings) as connection:
        states = connection.execute(text("SELECT state, count(*) FROM run_queue_items GROUP BY state")).all()
        assert [tuple(row) for row in states] == [("FINISHED", items)]
        kept = connection.execute(text("SELECT id, run_name FROM run_queue_items")).all()
        assert {row.id: row.run_name for row in kept} == {
            item: run for claimer in claimers for item, run in claimer.runs.items()
        }
        runs = connection.execute(text("SELECT state, count(*) FROM runs GROUP BY state")).all()
        assert [tuple(row) for row in runs] == [("finished", items)]


def over(campaign: Campaign, claimers: list[Claimer], pushers: list[Pusher]) -> bool:
    """Whether all items have ended, or there is no use in waiting for it."""
    return finished(claimers) >= campaign.items or errors([*claimers, *pushers]) != []


def finished(claimers: list[Claimer]) -> int:
    return sum(len(claimer.runs) for claimer in claimers)


def errors(threads: list[RetryingClient]) -> list[Exception]:
    return [thread.error for thread in threads if thread.error is not None]
