"""Fixtures: an empty and a migrated store on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from launchd.server.settings import ServerSettings
from launchd.server.store.database import Database
from launchd.server.store.factory import migration_transaction, open_database
from launchd.server.store.migrate import migrate


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> ServerSettings:
    """Settings of a server whose database has no tables yet."""
    if request.param == "sqlite":
        return ServerSettings(data_dir=tmp_path)
    return ServerSettings(data_dir=tmp_path, database=request.getfixturevalue("cluster").empty_database())


@pytest.fixture
def settings(empty: ServerSettings) -> ServerSettings:
    """As `empty`, with the tables."""
    with migration_transaction(empty) as connection:
        migrate(connection, "the database")
    return empty


@pytest.fixture
def database(settings: ServerSettings) -> Iterator[Database]:
    opened = open_database(settings)
    yield opened
    opened.close()
