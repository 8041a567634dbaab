"""Conditions on the states of items, for statements that partial indexes answer.

The states are literals, not parameters: SQLite must see them to use these indexes.
"""

from sqlalchemy import literal_column, or_

from launchd.server.store.tables import run_queue_items

IS_WAITING = run_queue_items.c.state == literal_column("'PENDING'")
IS_LEASED = run_queue_items.c.state == literal_column("'LEASED'")
IS_HELD = or_(IS_LEASED, run_queue_items.c.state == literal_column("'CLAIMED'"))
