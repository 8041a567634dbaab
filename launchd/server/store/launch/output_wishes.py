"""Which items' output a reader looks at: kept for as long as a look lasts, so that agents send output for that long."""

from collections.abc import Sequence

from sqlalchemy import Connection, Float, String, bindparam, delete, insert, select

from launchd.server.store.clock import NOW
from launchd.server.store.tables import output_wishes, run_queue_items

WISH_SECONDS = 30.0
"""How long output is wanted after the last look at it."""

wish = output_wishes.c
item = run_queue_items.c
# A row of an earlier boot may lie far ahead: SQLite's clock begins anew.
_IS_WANTED = (wish.wanted_until - NOW).between(0.0, WISH_SECONDS)
_REPLACED = delete(output_wishes).where((wish.item_number == bindparam("of_item")) | ~_IS_WANTED)
_INSERT = insert(output_wishes).values(
    item_number=bindparam("of_item"), wanted_until=NOW + bindparam("seconds", type_=Float)
)
_OF_AGENT = (
    select(item.id)
    .join(output_wishes, wish.item_number == item.number)
    .where(item.agent_id == bindparam("of_agent", type_=String), _IS_WANTED)
    .order_by(item.number)
)
_OF_ITEM = select(wish.wanted_until - NOW).where(wish.item_number == bindparam("of_item"), _IS_WANTED)


def want(connection: Connection, item_number: int) -> None:
    """Want the output of an item from now on for `WISH_SECONDS`; wishes that are over are removed."""
    connection.execute(_REPLACED, {"of_item": item_number})
    connection.execute(_INSERT, {"of_item": item_number, "seconds": WISH_SECONDS})


def wanted_of(connection: Connection, agent_id: str, sent: Sequence[str]) -> list[str]:
    """The items whose output is wanted of an agent, which may have ended since, without those that it sends already."""
    wanted = connection.execute(_OF_AGENT, {"of_agent": agent_id}).scalars()
    return [item_id for item_id in wanted if item_id not in sent]


def seconds_left(connection: Connection, item_number: int) -> float:
    """How long the output of an item is still wanted; 0: it is not."""
    return float(connection.execute(_OF_ITEM, {"of_item": item_number}).scalar() or 0.0)
