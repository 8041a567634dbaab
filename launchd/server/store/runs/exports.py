"""Exports of histories: files of a run that its client did not send, named by the lines that they hold.

An export is not changed any more, as W&B's clients keep what they have downloaded; later lines are in the next one.
"""

import re
from collections.abc import Iterator

from sqlalchemy import Connection, bindparam, delete, select

from launchd.server.models import RunFile
from launchd.server.store.tables import run_files

PREFIX = ".exports/"
"""The beginning of their names; lists of a run's files leave them out."""

_NAME = re.compile(rf"{re.escape(PREFIX)}history-(\d+)-(\d+)\.parquet", re.ASCII)

file = run_files.c
_OF_RUN = select(run_files).where(
    file.run_id == bindparam("of_run"), file.content.is_not(None), file.name.startswith(PREFIX, autoescape=True)
)


def name_of(first: int, end: int) -> str:
    """Return the name of the export of the lines from ``first`` to before ``end``."""
    return f"{PREFIX}history-{first}-{end}.parquet"


def of_run(connection: Connection, run_id: int) -> tuple[list[RunFile], int]:
    """Return the exports of a run, which follow each other, and the first line that is in none."""
    by_first = {first: (end, found) for found, first, end in _all_of(connection, run_id)}
    exports, end = list[RunFile](), 0
    while end in by_first:
        end, found = by_first.pop(end)
        exports.append(found)
    return exports, end


def forget(connection: Connection, run_id: int, first: int) -> None:
    """Forget exports with lines from ``first`` on, which are about to change."""
    changed = [export.id for export, _, end in _all_of(connection, run_id) if end > first]
    if changed:
        connection.execute(delete(run_files).where(file.id.in_(changed)))


def _all_of(connection: Connection, run_id: int) -> Iterator[tuple[RunFile, int, int]]:
    """Yield each export with its first line and the one after its last."""
    for row in connection.execute(_OF_RUN, {"of_run": run_id}):
        lines = _NAME.fullmatch(row.name)
        if lines:
            yield RunFile(**row._mapping), int(lines[1]), int(lines[2])
