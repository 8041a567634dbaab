"""The author of a submitted item, and the entities to which a run spec may send its run."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from launchd.server.models import Viewer
from launchd.server.store.accounts import api_keys, principals


def author_of(connection: Connection, viewer: Viewer, spec: Mapping[str, Any]) -> tuple[int, str]:
    """Number and name of the item's author: the owner of the key.

    A service account submits for others: for the member of its team that the header names (`auth.AUTHOR_HEADER`), else
    for the one in the run spec's `author`, as schedulers of sweeps and agents that requeue a preempted run send it.
    """
    named = spec.get("author")
    if viewer.is_service and viewer.author_id == viewer.user_id and isinstance(named, str):
        team = principals.require_entity(connection, viewer, viewer.entity)
        member = api_keys.member_named(connection, team.id, named)
        if member is not None:
            return member, named
    return viewer.author_id, viewer.author


def check_target(connection: Connection, viewer: Viewer, spec: Mapping[str, Any]) -> None:
    """Check the entity of the run that the spec names. An unknown entity is ignored, as W&B's agent does.

    Raises:
        NotFound, NotAllowed: the submitter may not create runs there.
    """
    named = spec.get("entity")
    if isinstance(named, str) and principals.entity_named(connection, named) is not None:
        principals.require_entity(connection, viewer, named)
