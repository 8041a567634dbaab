"""The authorization rule for signed links, as a SQL condition: whether the user who got one may still use it.

A link ends with the key by which it was had, too: with its revocation, or, where it is a job's, with the job.
"""

from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, bindparam, exists, or_, select

from launchd.server.models import LinkHolder
from launchd.server.store.accounts.authorization import is_living, living_since
from launchd.server.store.tables import api_keys, memberships, run_queue_items

_KEY = bindparam("holder_key", type_=Integer)
_JOB = bindparam("holder_item", type_=Integer)

_item = run_queue_items.alias("item_of_holder").c
_key = api_keys.alias("key_of_holder").c

_KEY_WORKS = or_(
    exists().where(_key.id == _KEY, _key.user_id == bindparam("holder_id")),
    exists().where(_item.number == _JOB, is_living(_item)),
)


def holder_may(entity_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Condition: the holder has the needed role in the entity with this id (a column). Needs `holder_binds`."""
    theirs = select(memberships.c.entity_id).where(
        memberships.c.user_id == bindparam("holder_id"), memberships.c.role >= bindparam("holder_role")
    )
    return and_(entity_id.in_(theirs), _KEY_WORKS)


def holder_binds(holder: LinkHolder) -> dict[str, Any]:
    """Values for the parameters of `holder_may`."""
    return {
        "holder_id": holder.user_id,
        "holder_role": int(holder.role),
        "holder_key": holder.key_id,
        "holder_item": holder.item,
        "viewer_since": living_since(),
    }
