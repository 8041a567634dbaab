"""Items that ended long ago are removed with their warnings, and no other ones."""

import asyncio
import time

import pytest
from sqlalchemy import Connection, func, select, update

from launchd.server.files.old_items import remove_old_items
from launchd.server.models import KeyRole
from launchd.server.store.accounts import accounts, api_keys, principals
from launchd.server.store.database import Database
from launchd.server.store.launch import items, old_items, queues
from launchd.server.store.tables import item_warnings, run_queue_items

pytestmark = pytest.mark.dialect

HOUR = 3600.0


def push_some(connection: Connection, states: list[str], age: float) -> list[str]:
    """Push items of an age, in these states, each with a warning; returns their ids."""
    _, key = api_keys.issue(connection, accounts.first_user(connection, "me"), "key", KeyRole.ADMIN)
    viewer = api_keys.viewer_of_key(connection, api_keys.digest_of(key))
    assert viewer is not None
    project, _ = principals.ensure_project(connection, principals.require_entity(connection, viewer, "me"), "p")
    queue_id = queues.create_queue(connection, viewer, project, "q", {})
    queue = queues.require_queue_by_id(connection, viewer, queue_id)
    pushed = []
    for state in states:
        item_id = str(items.push(connection, queue, "{}", None, viewer.user_id, priority=2, is_scheduler=False))
        found = items.require_item(connection, viewer, item_id)
        items.warn(connection, found, message="m", stage="run", file_paths=None)
        moment = time.time() - age
        values = {
            "state": state,
            "created_at": moment,
            "finished_at": moment if state in ("FINISHED", "FAILED") else None,
        }
        connection.execute(update(run_queue_items).where(run_queue_items.c.id == item_id).values(values))
        pushed.append(item_id)
    return pushed


def kept(connection: Connection) -> tuple[list[str], int]:
    """Return the ids of the items that there are, and the number of their warnings."""
    ids = connection.execute(select(run_queue_items.c.id).order_by(run_queue_items.c.number)).scalars()
    return list(ids), connection.execute(select(func.count()).select_from(item_warnings)).scalar_one()


def test_those_that_ended_long_ago_go(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_items, "_PIECE", 2)

    async def run() -> None:
        states = ["FINISHED", "PENDING", "FAILED", "CLAIMED", "FINISHED"]
        _, waiting, _, claimed, _ = await database.write(lambda connection: push_some(connection, states, 2 * HOUR))
        assert await remove_old_items(database, 3 * HOUR) == 0
        assert await remove_old_items(database, HOUR) == 3
        assert await database.read(kept) == ([waiting, claimed], 2)

    asyncio.run(run())
