"""Leases, heartbeats and silence do not follow the wall clock, and outlast a boot of the machine."""

import time
from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import Connection, select, update

from ipc import boot_clock
from launchd.server.models import AgentIdentity, KeyRole, Viewer
from launchd.server.settings import ServerSettings
from launchd.server.store import clock
from launchd.server.store.accounts import accounts, api_keys, principals
from launchd.server.store.factory import migration_transaction
from launchd.server.store.launch import agents, items, lease_numbers, leases, queues, restored
from launchd.server.store.launch.taking import Lease
from launchd.server.store.runs import ends as run_ends
from launchd.server.store.runs import runs
from launchd.server.store.tables import launch_agents, run_queue_items, server_state
from launchd.server.store.tables import runs as runs_table

pytestmark = pytest.mark.dialect

LEASE_SECONDS, TIMEOUT = 60.0, 120.0
BEGUN = restored.Start(lease_seconds=LEASE_SECONDS, timeout_seconds=TIMEOUT, pause_seconds=60.0, noted_lease=0)


@pytest.fixture
def connection(settings: ServerSettings) -> Iterator[Connection]:
    with migration_transaction(settings) as opened:
        restored.start(opened, BEGUN)
        yield opened


@pytest.fixture
def viewer(connection: Connection) -> Viewer:
    _, key = api_keys.issue(connection, accounts.first_user(connection, "me"), "key", KeyRole.ADMIN)
    found = api_keys.viewer_of_key(connection, api_keys.digest_of(key))
    assert found is not None
    return found


@pytest.fixture
def agent(connection: Connection, viewer: Viewer) -> str:
    """An agent with one leased item, beside a run that sends heartbeats."""
    entity = principals.require_entity(connection, viewer, "me")
    project, _ = principals.ensure_project(connection, entity, "p")
    queue_id = queues.create_queue(connection, viewer, project, "q", {})
    queue = queues.require_queue_by_id(connection, viewer, queue_id)
    items.push(connection, queue, "{}", viewer.author_id, viewer.user_id, priority=2, is_scheduler=False)
    identity = AgentIdentity(incarnation="i1")
    made = agents.create_agent(
        connection, viewer, entity, [queue_id], hostname="h", config=None, version=None, identity=identity
    )
    found = agents.require_agent(connection, viewer, made)
    lease = Lease(viewer=viewer, agent_id=made, claim_id="c", seconds=LEASE_SECONDS)
    claimed = leases.claim(connection, found, leases.Capacity(items=1, schedulers=0), lease)
    assert len(claimed.items) == 1
    runs.insert_run(connection, project.id, "r", {"state": "running", "heartbeat_at": time.time()})
    return made


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_step_of_the_wall_clock_ends_nothing(
    connection: Connection, viewer: Viewer, agent: str, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    before = time.time
    monkeypatch.setattr(time, "time", lambda: before() + step)
    assert leases.return_expired(connection) == []
    assert 0 < (leases.next_lease_end(connection) or 0) <= LEASE_SECONDS
    assert 0 <= agents.require_agent(connection, viewer, agent).silent_seconds < TIMEOUT
    assert run_ends.crash_timed_out(connection, TIMEOUT, time.time()) == 0
    agents.record_heartbeat(connection, agent)
    assert 0 <= agents.require_agent(connection, viewer, agent).silent_seconds < TIMEOUT


@pytest.mark.parametrize("empty", ["sqlite"], indirect=True)  # PostgreSQL has a clock of its own.
def test_with_sqlite_a_boot_renews_leases_and_heartbeats(connection: Connection, viewer: Viewer, agent: str) -> None:
    connection.execute(update(server_state).values(boot_id="an earlier one"))
    later = boot_clock.boot_seconds() + 1e6
    connection.execute(update(run_queue_items).values(lease_ends_at=later))
    connection.execute(update(launch_agents).values(heard_at=later))
    connection.execute(update(runs_table).values(heard_at=later))
    restored.start(connection, BEGUN)
    assert 0 < (leases.next_lease_end(connection) or 0) <= LEASE_SECONDS
    assert 0 <= agents.require_agent(connection, viewer, agent).silent_seconds < TIMEOUT
    assert 0 <= (run_ends.longest_silence(connection) or 0) < TIMEOUT
    assert connection.execute(select(server_state.c.boot_id)).scalar() == boot_clock.boot_id()


def test_within_one_boot_nothing_is_renewed(connection: Connection, agent: str) -> None:  # noqa: ARG001
    connection.execute(update(run_queue_items).values(lease_ends_at=clock.NOW - 1))
    restored.start(connection, BEGUN)
    assert len(leases.return_expired(connection)) == 1


def test_claims_pause_at_a_start_with_a_restored_database_while_items_wait(
    connection: Connection, viewer: Viewer, agent: str
) -> None:
    given = lease_numbers.highest(connection)
    older = msgspec.structs.replace(BEGUN, noted_lease=given + 1)
    restored.start(connection, older)
    assert restored.paused_seconds(connection) == 0, "nothing waits"
    assert leases.return_unknown(connection, viewer, agent, [])
    restored.start(connection, msgspec.structs.replace(BEGUN, noted_lease=given))
    assert restored.paused_seconds(connection) == 0, "nothing shows that it was restored"
    restored.start(connection, older)
    restored.is_back(connection, agent)
    assert 0 < restored.paused_seconds(connection) <= restored.START_PAUSE_SECONDS
    restored.start(connection, msgspec.structs.replace(older, pause_seconds=0.0))
    assert restored.paused_seconds(connection) == 0, "the administrator wants no pause"
    connection.execute(update(launch_agents).values(heard_at=clock.NOW - TIMEOUT - 1))
    restored.start(connection, BEGUN)
    assert restored.paused_seconds(connection) > 0, "nobody knows how old the database is"
