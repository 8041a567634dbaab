"""Items that a person may mean by a word: the beginning of an id, a run, a name, or `@last`."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, bindparam, func, select

from launchd.server.models import Item, Viewer
from launchd.server.store.accounts.authorization import binds
from launchd.server.store.launch.items import VISIBLE_ITEMS, item_of_row
from launchd.server.store.tables import run_queue_items

LAST = "@last"
MOST_FOUND = 20
_SHORTEST_PREFIX = 4
_LONGEST_WORD = 256
_NEWEST = 5000
"""How many of the server's items are searched for a name of a run that the caller may see."""
_MOST_NAMES = 1000

item = run_queue_items.c
_NEWEST_FIRST = VISIBLE_ITEMS.order_by(item.number.desc())
# Apart, for each has an index of its own.
_OWN = [
    _NEWEST_FIRST.where(person == bindparam("viewer_id")).limit(1) for person in (item.submitter_id, item.author_id)
]
_BY_PREFIX = _NEWEST_FIRST.where(item.id >= bindparam("first"), item.id < bindparam("after"))
_RECENT = _NEWEST_FIRST.where(item.number > select(func.max(item.number)).scalar_subquery() - _NEWEST)
_BY_RUN = _NEWEST_FIRST.where(item.run_name == bindparam("run"))


class _Named(msgspec.Struct):
    name: str | None = None


_name_decoder = msgspec.json.Decoder(_Named)


def find(connection: Connection, viewer: Viewer, word: str) -> Sequence[Item]:
    """The items that the viewer may see and that the word may mean, the newest first."""
    if not word or len(word) > _LONGEST_WORD:
        return []
    if word == LAST:
        own = [found for statement in _OWN for found in _items(connection, viewer, statement)]
        return sorted(own, key=lambda found: found.number)[-1:]
    if len(word) >= _SHORTEST_PREFIX:
        # The ids are hexadecimal: no letter of one comes after g.
        found = _items(connection, viewer, _BY_PREFIX.limit(MOST_FOUND), first=word, after=f"{word}g")
        if found:
            return found
    by_run = _items(connection, viewer, _BY_RUN.limit(MOST_FOUND), run=word)
    return by_run or _by_name(connection, viewer, word)


def _by_name(connection: Connection, viewer: Viewer, word: str) -> list[Item]:
    recent = _items(connection, viewer, _RECENT.limit(_MOST_NAMES))
    return [found for found in recent if _name_of(found) == word][:MOST_FOUND]


def _name_of(found: Item) -> str | None:
    try:
        return _name_decoder.decode(found.run_spec).name
    except msgspec.DecodeError:
        return None


def _items(connection: Connection, viewer: Viewer, wanted: Select[Any], **values: str) -> Sequence[Item]:
    return [item_of_row(row) for row in connection.execute(wanted, {**binds(viewer), **values})]
