"""The author of a submitted item, the entities to which a run spec may send its run, and the API key in it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from launchd.server.errors import Refused
from launchd.server.launch.job_keys import JobKeys
from launchd.server.models import SPEC_KEY, Queue, Record, Scope, Viewer
from launchd.server.store.accounts import api_keys, principals


class Pusher(Record, frozen=True, kw_only=True):
    """Who pushes an item, and what tells the keys of jobs from others."""

    viewer: Viewer
    job_keys: JobKeys


def without_key(connection: Connection, pusher: Pusher, queue: Queue, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The run spec without the API key in it, which no job gets: it gets one of its own.

    W&B's agent pushes the spec of a preempted run back with the key of its job.

    Raises:
        Refused: the key is neither one of the pusher's nor that of a job out of this queue.
    """
    kept = dict(spec)
    key = kept.pop(SPEC_KEY, None)
    if key and not _is_own(connection, pusher, queue, key):
        raise Refused(
            f"The API key in {SPEC_KEY} of the run spec is none of yours at this queue server. Leave it out: a job gets"
            " a key of its own, with which it reads as the one who pushed it."
        )
    return kept


def _is_own(connection: Connection, pusher: Pusher, queue: Queue, key: object) -> bool:
    if not isinstance(key, str):
        return False
    owner = api_keys.viewer_of_key(connection, api_keys.digest_of(key))
    if owner is not None:
        return owner.user_id == pusher.viewer.user_id
    job = pusher.job_keys.find_owner(connection, key)
    return job is not None and job.queue_id == queue.id


def author_of(connection: Connection, viewer: Viewer, spec: Mapping[str, Any]) -> tuple[int, str]:
    """Number and name of the item's author: the owner of the key.

    A service account submits for others: for the member of its team that the header names (`auth.AUTHOR_HEADER`), else
    for the one in the run spec's `author`, as schedulers of sweeps and agents that requeue a preempted run send it. A
    job cannot name one: what it pushes has the author of its own item.
    """
    named = spec.get("author")
    may_name = viewer.is_service and viewer.scope is not Scope.JOB
    if may_name and viewer.author_id == viewer.user_id and isinstance(named, str):
        team = principals.require_entity(connection, viewer, viewer.entity)
        member = api_keys.member_named(connection, team.id, named)
        if member is not None:
            return member, named
    return viewer.author_id, viewer.author


def check_target(connection: Connection, viewer: Viewer, queue: Queue, spec: Mapping[str, Any]) -> None:
    """Check the entity of the run that the spec names. An unknown entity is ignored, as W&B's agent does.

    What a job pushes runs in that job's own project.

    Raises:
        NotFound, NotAllowed: the submitter may not create runs there.
    """
    named = spec.get("entity")
    if viewer.scope is Scope.JOB:
        project = spec.get("project")
        principals.require_entity(
            connection,
            viewer,
            named if isinstance(named, str) and named else queue.entity_name,
            project=project if isinstance(project, str) and project else principals.UNCATEGORIZED,
        )
        return
    if isinstance(named, str) and principals.entity_named(connection, named) is not None:
        principals.require_entity(connection, viewer, named)
