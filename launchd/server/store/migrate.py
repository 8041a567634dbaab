"""Migrates a database to the newest version of the tables; imports Alembic only when there is something to do."""

import importlib
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, inspect, text

from launchd import __version__
from launchd.server.errors import CannotStart

NEWEST = "0029"
_VERSIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, database: str) -> None:
    """Create or upgrade the tables of `database` (its name in messages). One query if they are up to date.

    Raises:
        CannotStart: it was written by a newer server.
    """
    found = current_version(connection)
    if found is not None and found > NEWEST:
        raise CannotStart(
            f"{database} was written by {_writer(connection)} (tables {found}); this is {__version__} ({NEWEST})."
            " Install that version or a later one."
        )
    if found != NEWEST:
        run_migrations(connection, "upgrade", NEWEST)
        connection.execute(text("UPDATE server_state SET laid_out_by = :version"), {"version": __version__})


def _writer(connection: Connection) -> str:
    version = connection.execute(text("SELECT laid_out_by FROM server_state")).scalar()
    return f"launchd {version}" if version else "a newer launchd"


def current_version(connection: Connection) -> str | None:
    """Version of the tables; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def run_migrations(connection: Connection, direction: Literal["upgrade", "downgrade"], version: str) -> None:
    """Migrate the tables to a version, `base` for none. Does not commit."""
    # Importing Alembic takes half a second, which an up-to-date database must not cost.
    command = importlib.import_module("alembic.command")
    config = importlib.import_module("alembic.config").Config()
    config.set_main_option("script_location", str(_VERSIONS))
    config.attributes["connection"] = connection
    getattr(command, direction)(config, version)
