"""The rows of agents that are long gone are removed, unless an item names them."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import select, update

from launchd.server.settings import ServerSettings
from launchd.server.store.factory import migration_transaction
from launchd.server.store.launch import gone_agents
from launchd.server.store.tables import launch_agents, run_queue_items
from tests.support.launch_store import LaunchStore

DAY_SECONDS = 24 * 3600.0

pytestmark = pytest.mark.dialect


class Store(LaunchStore):
    """A store whose agents are named by their hosts, and may be silent."""

    def add(self, host: str, silent_days: float, *, by_the_stores_clock: float | None = None) -> str:
        """Register an agent, silent for so many days by both clocks, or by each."""
        made = self.add_agent(host)
        seconds = DAY_SECONDS * (silent_days if by_the_stores_clock is None else by_the_stores_clock)
        silence = {
            "heartbeat_at": time.time() - DAY_SECONDS * silent_days,
            "heard_at": launch_agents.c.heard_at - seconds,
        }
        self.connection.execute(update(launch_agents).where(launch_agents.c.id == made).values(silence))
        return made

    def lease(self, agent: str) -> str:
        """Lease a new item to an agent; returns its id."""
        item = self.push()
        assert self.claim(agent, agent) == [item]
        return item

    def kept(self) -> set[str]:
        return set(self.connection.execute(select(launch_agents.c.hostname)).scalars())


@pytest.fixture
def store(settings: ServerSettings) -> Iterator[Store]:
    with migration_transaction(settings) as opened:
        yield Store(opened)


def test_those_that_no_item_names_are_removed(store: Store) -> None:
    store.add("of late", 29.9)
    store.add("gone", 30.1)
    store.lease(store.add("holds an item", 400))
    ended = store.add("had an item", 400)
    store.lease(ended)
    store.connection.execute(
        update(run_queue_items).where(run_queue_items.c.agent_id == ended).values(state="FINISHED")
    )
    assert gone_agents.remove_some(store.connection) == 1
    assert store.kept() == {"of late", "holds an item", "had an item"}
    assert gone_agents.remove_some(store.connection) == 0


def test_a_wrong_wall_clock_removes_no_agent_that_is_heard(store: Store) -> None:
    store.add("heard", 400, by_the_stores_clock=0.01)
    assert gone_agents.remove_some(store.connection) == 0
    assert store.kept() == {"heard"}


def test_many_are_removed_in_pieces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gone_agents, "_GONE", gone_agents._GONE.limit(2))
    for number in range(5):
        store.add(f"gone {number}", 400)
    assert [gone_agents.remove_some(store.connection) for _ in range(4)] == [2, 2, 1, 0]
