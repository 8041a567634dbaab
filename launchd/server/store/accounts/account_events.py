"""What others did to an account, its keys and its teams: a log that its owner can read, and no request can change."""

import time

from sqlalchemy import Connection, bindparam, insert, select

from launchd.server.models import AccountEvent, User, Viewer
from launchd.server.store.tables import account_events, users

_MOST = 200

_event = account_events.c
_OF_USER = (
    select(users.c.name.label("actor"), _event.happened_at.label("created_at"), _event.sentence)
    .join(users, users.c.id == _event.actor_id)
    .where(_event.user_id == bindparam("of_user"))
    .order_by(_event.id.desc())
    .limit(_MOST)
)


def note(connection: Connection, viewer: Viewer, owner: User, sentence: str) -> None:
    """Note what the viewer did to an account; nothing where it is the viewer's own."""
    if viewer.user_id != owner.user_id:
        add(connection, viewer, owner.user_id, sentence)


def add(connection: Connection, viewer: Viewer, user_id: int, sentence: str) -> None:
    """Note what the viewer did in the log of a user."""
    row = {"user_id": user_id, "actor_id": viewer.user_id, "happened_at": time.time(), "sentence": sentence}
    connection.execute(insert(account_events), row)


def events_of(connection: Connection, user_id: int) -> list[AccountEvent]:
    """The newest events of an account, the newest first."""
    return [AccountEvent(**row._mapping) for row in connection.execute(_OF_USER, {"of_user": user_id})]
