"""Items that ended long ago: found in pieces, and removed with their warnings."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from launchd.server.store.launch.states import ENDED
from launchd.server.store.tables import run_queue_items

_PIECE = 500

_item = run_queue_items.c


def created_before(connection: Connection, moment: float, after: int) -> Sequence[int]:
    """The numbers of the next items after number `after` that were pushed before a moment; nothing: there are no more.

    Numbers are given in the order of pushes, so that younger items are not read.
    """
    following = select(_item.number, _item.created_at).where(_item.number > after).order_by(_item.number).limit(_PIECE)
    return [row.number for row in connection.execute(following) if row.created_at < moment]


def remove_ended(connection: Connection, numbers: Sequence[int], moment: float) -> int:
    """Remove those of these items that ended before a moment; returns how many they were."""
    ended = _item.number.in_(numbers), _item.state.in_(sorted(ENDED)), _item.finished_at < moment
    return connection.execute(delete(run_queue_items).where(*ended)).rowcount
