"""The database of an earlier version is read. `tests/data/version-*/server.sql` was written by that server."""

import sqlite3
from pathlib import Path

import pytest

from launchd.server.settings import ServerSettings
from launchd.server.store.factory import migration_transaction
from launchd.server.store.launch import items, queues
from launchd.server.store.migrate import migrate

DATA = Path(__file__).parents[2] / "data"
VERSIONS = sorted(path.name for path in DATA.glob("version-*"))


@pytest.mark.parametrize("version", VERSIONS)
def test_its_items_are_read(version: str, tmp_path: Path) -> None:
    settings = ServerSettings(data_dir=tmp_path)
    db = sqlite3.connect(settings.database_path)
    db.executescript((DATA / version / "server.sql").read_text())
    db.close()

    with migration_transaction(settings) as connection:
        migrate(connection, "the database")
        [default, gpu] = sorted(queues.queues_of(connection, 1), key=lambda queue: queue.name)
        found = items.items_of_queue(connection, default.id, 10)

    assert (default.name, default.entity_name, gpu.name) == ("default", "root", "gpu")
    states = sorted((item.state, item.exit_code) for item in found)
    assert states == [("CLAIMED", None), ("CLAIMED", None), ("FAILED", 3), ("FINISHED", 0)]
    assert all(item.run_spec for item in found)
