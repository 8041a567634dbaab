"""Removes the runs and artifacts of users and teams that were deleted, in pieces between which others write."""

import logging

from sqlalchemy import Connection

from launchd.server.store.accounts import deletions
from launchd.server.store.artifacts import edits as artifact_edits
from launchd.server.store.database import Database, Lane
from launchd.server.store.runs import changes

logger = logging.getLogger(__name__)


async def remove_what_is_left(database: Database) -> None:
    """Remove the rows; files without a row go with the collection that follows."""
    runs = collections = 0
    while (run := await database.read(deletions.run_left, Lane.HEAVY)) is not None:
        runs += 1
        await _remove_run(database, run)
    while await database.write(_mark_versions):
        collections += 1
        while await database.write(artifact_edits.remove_some_files):
            pass
        await database.write(_delete_collection)
    if runs or collections:
        logger.info("What deleted users and teams had was removed.", extra={"runs": runs, "collections": collections})


async def _remove_run(database: Database, run: int) -> None:
    while not await database.write(lambda connection: changes.delete_batch(connection, run)):
        pass


def _mark_versions(connection: Connection) -> bool:
    found = deletions.collection_left(connection)
    if found is not None:
        artifact_edits.delete_versions(connection, found)
    return found is not None


def _delete_collection(connection: Connection) -> None:
    found = deletions.collection_left(connection)
    if found is not None:
        artifact_edits.delete_collection(connection, found)
