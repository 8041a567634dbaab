"""Closing what a transaction has not read to its end, because of an error or because a page was full.

While such a statement is open, SQLite does not end the view of its transaction: the connection's next one would see the
past. An error keeps it open, because its traceback keeps what the functions held.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

_CURSORS = "cursors of the transaction"


def note_cursors(engine: Engine) -> None:
    """Note the cursors of all transactions of an engine, for `closed_cursors`."""

    @event.listens_for(engine, "after_cursor_execute")
    def note(connection: Connection, cursor: Any, *_: object) -> None:
        connection.info.setdefault(_CURSORS, []).append(cursor)


@contextmanager
def closed_cursors(connection: Connection) -> Iterator[None]:
    """Close all cursors on the way out."""
    try:
        yield
    finally:
        for cursor in connection.info.pop(_CURSORS, ()):
            cursor.close()
