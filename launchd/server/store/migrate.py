"""Brings a database to the newest version of the tables. Owns when to pay for Alembic, not the versions."""

import importlib
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from launchd.server.errors import CannotStart
from launchd.server.store.database import open_engine

NEWEST = "0003"
_VERSIONS = Path(__file__).parent / "migrations"


def migrate(path: Path) -> None:
    """Create or upgrade the database file. Costs one query where it is new enough already.

    Raises:
        CannotStart: the file was written by a newer server.
    """
    engine = open_engine(path, "BEGIN IMMEDIATE")
    try:
        with engine.begin() as connection:
            found = current_version(connection)
            if found is not None and found > NEWEST:
                raise CannotStart(
                    f"{path} was written by a newer queue server (tables {found}, this one knows {NEWEST})."
                )
            if found != NEWEST:
                _upgrade(connection)
    finally:
        engine.dispose()


def current_version(connection: Connection) -> str | None:
    """Version of the tables, None for an empty file."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    # Half a second of import that a migrated database must not pay.
    command = importlib.import_module("alembic.command")
    config = importlib.import_module("alembic.config").Config()
    config.set_main_option("script_location", str(_VERSIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
