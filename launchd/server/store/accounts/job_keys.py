"""Who has the key of an item's job: its submitter, who writes in the name of its author until the item has ended."""

from sqlalchemy import Connection, bindparam, select

from launchd.server.models import Record, Role, Scope, Viewer
from launchd.server.store.accounts.api_keys import USER_COLUMNS
from launchd.server.store.accounts.authorization import is_living, living_since
from launchd.server.store.tables import entities, run_queue_items, users

_item = run_queue_items.c
_authors = users.alias("authors")
_OWNER = (
    select(
        *USER_COLUMNS,
        _item.id.label("item_id"),
        _item.queue_id,
        is_living(_item).label("lives"),
        _authors.c.id.label("author_id"),
        _authors.c.name.label("author"),
    )
    .select_from(run_queue_items)
    .join(users, users.c.id == _item.submitter_id)
    .join(entities, entities.c.id == users.c.default_entity_id)
    .join(_authors, _authors.c.id == _item.author_id)
    .where(_item.number == bindparam("of_number"))
)


class JobOwner(Record, frozen=True, kw_only=True):
    """An item, and the viewer who has its job's key."""

    item_id: str
    queue_id: str
    lives: bool
    """Whether the key works: the item has not ended."""
    viewer: Viewer


def find_owner(connection: Connection, number: int) -> JobOwner | None:
    """The owner of the key of an item's job; None: there is no such item, or it is not known who pushed it.

    The job of an administrator of the server is none.
    """
    row = connection.execute(_OWNER, {"of_number": number, "viewer_since": living_since()}).first()
    if row is None:
        return None
    user = {column.name: row._mapping[column.name] for column in USER_COLUMNS} | {"admin": False}
    viewer = Viewer(
        **user,
        key_role=Role.MEMBER,
        scope=Scope.JOB,
        item=number,
        author_id=row.author_id,
        author=row.author,
    )
    return JobOwner(item_id=row.item_id, queue_id=row.queue_id, lives=bool(row.lives), viewer=viewer)
