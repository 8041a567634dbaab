"""The rows of agents that are long gone are removed, unless an item names them."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, select, update

from launchd.server.models import AgentIdentity, EntityRecord, KeyRole, Queue, Viewer
from launchd.server.settings import ServerSettings
from launchd.server.store.accounts import accounts, api_keys, principals
from launchd.server.store.factory import migration_transaction
from launchd.server.store.launch import agents, gone_agents, items, leases, queues
from launchd.server.store.launch.taking import Lease
from launchd.server.store.tables import launch_agents, run_queue_items

DAY_SECONDS = 24 * 3600.0

pytestmark = pytest.mark.dialect


class Store:
    """A store with one queue. Agents are named by their hosts."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        _, key = api_keys.issue(connection, accounts.first_user(connection, "me"), "key", KeyRole.ADMIN)
        viewer = api_keys.viewer_of_key(connection, api_keys.digest_of(key))
        assert viewer is not None
        self.viewer: Viewer = viewer
        self._entity: EntityRecord = principals.require_entity(connection, viewer, "me")
        project, _ = principals.ensure_project(connection, self._entity, "p")
        queue_id = queues.create_queue(connection, viewer, project, "q", {})
        self._queue: Queue = queues.require_queue_by_id(connection, viewer, queue_id)

    def add(self, host: str, silent_days: float, *, by_the_stores_clock: float | None = None) -> str:
        """Register an agent, silent for so many days by both clocks, or by each."""
        made = agents.create_agent(
            self.connection,
            self.viewer,
            self._entity,
            [self._queue.id],
            hostname=host,
            config=None,
            version=None,
            identity=AgentIdentity(incarnation="i"),
        )
        seconds = DAY_SECONDS * (silent_days if by_the_stores_clock is None else by_the_stores_clock)
        silence = {
            "heartbeat_at": time.time() - DAY_SECONDS * silent_days,
            "heard_at": launch_agents.c.heard_at - seconds,
        }
        self.connection.execute(update(launch_agents).where(launch_agents.c.id == made).values(silence))
        return made

    def lease(self, agent: str) -> str:
        """Lease a new item to an agent; returns its id."""
        item = items.push(self.connection, self._queue, "{}", None, self.viewer.user_id, priority=2, is_scheduler=False)
        found = agents.require_agent(self.connection, self.viewer, agent)
        lease = Lease(viewer=self.viewer, agent_id=agent, claim_id=agent, seconds=60.0)
        leases.claim(self.connection, found, leases.Capacity(items=1, schedulers=0), lease)
        return str(item)

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
