"""The authorization rule, as a SQL condition in every query of an entity's objects.

A viewer sees the objects of entities in which they have a role; in a request that changes something, only where that
role allows it: `Viewer.least_role` is the role needed. The rule has no exceptions, not even for an administrator of the
server.
"""

from typing import Any

from sqlalchemy import ColumnElement, bindparam, select

from launchd.server.models import Viewer
from launchd.server.store.tables import memberships


def may_use(entity_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Condition: the viewer may use the entity with this id (a column). Needs the values of `binds`."""
    mine = select(memberships.c.entity_id).where(
        memberships.c.user_id == bindparam("viewer_id"), memberships.c.role >= bindparam("viewer_role")
    )
    return entity_id.in_(mine)


def binds(viewer: Viewer) -> dict[str, Any]:
    """Values for the parameters of `may_use`."""
    return {"viewer_id": viewer.user_id, "viewer_role": int(viewer.least_role)}
