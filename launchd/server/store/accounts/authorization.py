"""Who may see what, as a condition that every query of an entity's things carries. Owns that one rule.

The viewer sees what belongs to entities that gave them a role, and in a request that changes something only what they
may change: `Viewer.least_role` says which role it takes. Nobody is above the rule, an administrator of the server
included.
"""

from typing import Any

from sqlalchemy import ColumnElement, bindparam, select

from launchd.server.models import Viewer
from launchd.server.store.tables import memberships


def may_use(entity_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """The viewer may use the entity with this id (a column). Needs the values of `binds`."""
    mine = select(memberships.c.entity_id).where(
        memberships.c.user_id == bindparam("viewer_id"), memberships.c.role >= bindparam("viewer_role")
    )
    return entity_id.in_(mine)


def binds(viewer: Viewer) -> dict[str, Any]:
    """Values for the parameters of `may_use`."""
    return {"viewer_id": viewer.user_id, "viewer_role": int(viewer.least_role)}
