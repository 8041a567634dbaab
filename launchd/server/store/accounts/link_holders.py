"""The authorization rule for signed links, as a SQL condition: whether the user who got one may still use it."""

from typing import Any

from sqlalchemy import ColumnElement, bindparam, select

from launchd.server.models import LinkHolder
from launchd.server.store.tables import memberships


def holder_may(entity_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Condition: the holder has the needed role in the entity with this id (a column). Needs `holder_binds`."""
    theirs = select(memberships.c.entity_id).where(
        memberships.c.user_id == bindparam("holder_id"), memberships.c.role >= bindparam("holder_role")
    )
    return entity_id.in_(theirs)


def holder_binds(holder: LinkHolder) -> dict[str, Any]:
    """Values for the parameters of `holder_may`."""
    return {"holder_id": holder.user_id, "holder_role": int(holder.role)}
