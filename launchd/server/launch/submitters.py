"""In whose name an item is submitted. Owns that rule, and which entities a run spec may send its run to."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from launchd.server.models import Viewer
from launchd.server.store.accounts import api_keys, principals


def author_of(connection: Connection, viewer: Viewer, spec: Mapping[str, Any]) -> tuple[int, str]:
    """Number and name of the submitter: whoever the key belongs to.

    A service account submits for others: for the member of its team that the header names (`auth.AUTHOR_HEADER`), else
    for the one in the run spec's `author`, as sweeps' schedulers and agents that queue a preempted run again give it.
    """
    named = spec.get("author")
    if viewer.is_service and viewer.author_id == viewer.user_id and isinstance(named, str):
        team = principals.require_entity(connection, viewer, viewer.entity)
        member = api_keys.member_named(connection, team.id, named)
        if member is not None:
            return member, named
    return viewer.author_id, viewer.author


def check_target(connection: Connection, viewer: Viewer, spec: Mapping[str, Any]) -> None:
    """Check the entity that the run shall belong to. One that does not exist is passed over, as W&B's agent does.

    Raises:
        NotFound, NotAllowed: the submitter may not make runs there.
    """
    named = spec.get("entity")
    if isinstance(named, str) and principals.entity_named(connection, named) is not None:
        principals.require_entity(connection, viewer, named)
