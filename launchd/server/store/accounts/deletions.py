"""Deleting users, service accounts and teams: what stands in the way, what goes at once, what is left for later.

Rows of accounts stay, for runs, items and logs name their authors, and a name is given to no other account. What
belonged to a deleted entity cannot be seen any more; its runs and artifacts go with the next collection of garbage.
"""

import time

import msgspec
from sqlalchemy import Connection, Float, Integer, Select, bindparam, delete, func, or_, select, update

from launchd.server.errors import Refused
from launchd.server.models import Collection, EntityRecord, User, Viewer
from launchd.server.store.accounts import account_events, accounts, api_keys, principals
from launchd.server.store.artifacts import collections
from launchd.server.store.clock import NOW
from launchd.server.store.launch import queues
from launchd.server.store.launch.agents import KILLED
from launchd.server.store.launch.states import ENDED
from launchd.server.store.runs.states import HEARTBEAT_STATES
from launchd.server.store.tables import (
    artifact_collections,
    artifact_links,
    artifacts,
    entities,
    launch_agents,
    memberships,
    projects,
    run_queue_items,
    run_queues,
    runs,
    users,
)

_item, _agent = run_queue_items.c, launch_agents.c
_OF = bindparam("of_id", type_=Integer)
_IS_OPEN = _item.state.not_in(sorted(ENDED))
_IS_RUNNING = runs.c.state.in_(HEARTBEAT_STATES)
_PROJECTS = select(projects.c.id).where(projects.c.entity_id == _OF)
_QUEUES = select(run_queues.c.id).where(run_queues.c.project_id.in_(_PROJECTS), run_queues.c.deleted_at.is_(None))
_OWN_COLLECTIONS = select(artifact_collections.c.id).where(artifact_collections.c.project_id.in_(_PROJECTS))

_count = select(func.count())
_OPEN_ITEMS = _count.select_from(run_queue_items.join(run_queues, run_queues.c.id == _item.queue_id)).where(
    run_queues.c.project_id.in_(_PROJECTS), _IS_OPEN
)
_LIVING_AGENTS = _count.select_from(launch_agents).where(
    _agent.status != KILLED, NOW - _agent.heard_at <= bindparam("timeout", type_=Float)
)
_AGENTS = _LIVING_AGENTS.where(_agent.entity_id == _OF)
_AGENTS_OF_USER = _LIVING_AGENTS.where(_agent.owner_id == _OF)
_RUNNING = _count.select_from(runs).where(runs.c.project_id.in_(_PROJECTS), _IS_RUNNING)
_LINKED_ELSEWHERE = _count.select_from(
    artifact_links.join(artifacts, artifacts.c.number == artifact_links.c.artifact_number)
).where(artifacts.c.collection_id.in_(_OWN_COLLECTIONS), artifact_links.c.collection_id.not_in(_OWN_COLLECTIONS))
_ITEMS_OF_USER = _count.select_from(run_queue_items).where(
    or_(_item.author_id == _OF, _item.submitter_id == _OF), _IS_OPEN
)
_RUNS_OF_USER = _count.select_from(runs).where(runs.c.author_id == _OF, _IS_RUNNING)

_ADMINISTRATORS = select(users.c.id).where(users.c.admin, users.c.deleted_at.is_(None))
_SERVICE_ACCOUNTS = select(users.c.name).where(
    users.c.default_entity_id == _OF, users.c.is_service, users.c.deleted_at.is_(None)
)
_DELETED_ENTITIES = select(entities.c.id).where(entities.c.deleted_at.is_not(None))
_PROJECTS_LEFT = select(projects.c.id).where(projects.c.entity_id.in_(_DELETED_ENTITIES))
_RUN_LEFT = select(runs.c.id).where(runs.c.project_id.in_(_PROJECTS_LEFT)).limit(1)
_COLLECTION_LEFT = collections.SELECTED.where(artifact_collections.c.project_id.in_(_PROJECTS_LEFT)).limit(1)


class Deleted(msgspec.Struct, frozen=True):
    """What went with an account: how many API keys, queues and service accounts."""

    keys: int = 0
    queues: int = 0
    service_accounts: int = 0


def delete_user(connection: Connection, viewer: Viewer, user: User, agent_timeout: float) -> Deleted:
    """Delete a user with all keys and memberships, and the user's own entity.

    Raises:
        Refused: it is the viewer, or a service account; or something that lives needs the user.
    """
    if user.user_id == viewer.user_id:
        raise Refused("Another administrator has to delete your own account.")
    if user.is_service:
        raise Refused(
            f"{user.name!r} is a service account of {user.entity!r}: `launchd service-account delete` deletes it."
        )
    own = principals.entity_named(connection, user.entity)
    needs = _needs_of_user(connection, user, agent_timeout) + (_needs_of(connection, own, agent_timeout) if own else [])
    _refuse_for(f"User {user.name!r}", needs)
    for team in principals.entities_of(connection, user.user_id):
        if team.is_team:
            accounts.remove_member(connection, team, user)
    keys = _end_account(connection, user)
    gone = Deleted(keys, _end_entity(connection, own) if own else 0)
    _note(connection, viewer, [user.user_id], f"Deleted user {user.name}, with {keys} API keys.")
    return gone


def delete_service_account(connection: Connection, viewer: Viewer, user: User, agent_timeout: float) -> Deleted:
    """Delete a service account with its keys.

    Raises:
        Refused: items or runs of the account have not ended, or an agent has a key of it.
    """
    _refuse_for(f"Service account {user.name!r}", _needs_of_user(connection, user, agent_timeout))
    keys = _end_account(connection, user)
    _note(connection, viewer, [user.user_id], f"Deleted service account {user.name}, with {keys} API keys.")
    return Deleted(keys)


def delete_team(connection: Connection, viewer: Viewer, team: EntityRecord, agent_timeout: float) -> Deleted:
    """Delete a team with its queues and service accounts; its members stay users.

    Raises:
        Refused: something that lives needs the team.
    """
    _refuse_for(f"Team {team.name!r}", _needs_of(connection, team, agent_timeout))
    members = [member.user.user_id for member in accounts.members_of(connection, team)]
    programs = list(connection.execute(_SERVICE_ACCOUNTS, {"of_id": team.id}).scalars())
    keys = sum(_end_account(connection, accounts.require_user(connection, name)) for name in programs)
    gone = Deleted(keys, _end_entity(connection, team), len(programs))
    _note(connection, viewer, members, f"Deleted team {team.name}, with {len(programs)} service accounts.")
    return gone


def run_left(connection: Connection) -> int | None:
    """A run of a deleted entity; None: there is none any more."""
    return connection.execute(_RUN_LEFT).scalar()


def collection_left(connection: Connection) -> Collection | None:
    """A collection of artifacts of a deleted entity; None: there is none any more."""
    row = connection.execute(_COLLECTION_LEFT).first()
    return collections.from_row(row) if row else None


def _needs_of(connection: Connection, entity: EntityRecord, agent_timeout: float) -> list[str]:
    """What of an entity lives, in words."""
    which = {"of_id": entity.id, "timeout": agent_timeout}
    return _counted(
        connection,
        which,
        (_OPEN_ITEMS, "item in the queues has", "items in the queues have", "not ended"),
        (_AGENTS, "agent serves", "agents serve", "the queues"),
        (_RUNNING, "run is", "runs are", "running"),
        (_LINKED_ELSEWHERE, "version of an artifact is", "versions of artifacts are", "linked to portfolios of others"),
    )


def _needs_of_user(connection: Connection, user: User, agent_timeout: float) -> list[str]:
    return _counted(
        connection,
        {"of_id": user.user_id, "timeout": agent_timeout},
        (
            _ITEMS_OF_USER,
            "item that was pushed in this name has",
            "items that were pushed in this name have",
            "not ended",
        ),
        (_AGENTS_OF_USER, "agent with a key of this account is", "agents with keys of this account are", "living"),
        (_RUNS_OF_USER, "run in this name is", "runs in this name are", "running"),
    )


def _counted(connection: Connection, which: dict[str, float], *wanted: tuple[Select[int], str, str, str]) -> list[str]:
    counts = [(int(connection.execute(query, which).scalar_one()), *words) for query, *words in wanted]
    return [f"{count} {one if count == 1 else many} {rest}" for count, one, many, rest in counts if count]


def _refuse_for(what: str, needs: list[str]) -> None:
    if needs:
        # The same may be counted for a user and for the user's own entity.
        raise Refused(f"{what} cannot be deleted yet: {'; '.join(dict.fromkeys(needs))}.")


def _end_account(connection: Connection, user: User) -> int:
    """Delete an account. Returns how many keys it had."""
    keys = api_keys.revoke_all(connection, user)
    connection.execute(delete(memberships).where(memberships.c.user_id == user.user_id))
    values = {"deleted_at": time.time(), "email": "", "admin": False}
    connection.execute(update(users).where(users.c.id == user.user_id).values(values))
    return keys


def _end_entity(connection: Connection, entity: EntityRecord) -> int:
    """Delete an entity with its queues. Returns how many it had."""
    own = list(connection.execute(_QUEUES, {"of_id": entity.id}).scalars())
    for queue in own:
        queues.delete_queue(connection, queue)
    connection.execute(delete(memberships).where(memberships.c.entity_id == entity.id))
    connection.execute(update(entities).where(entities.c.id == entity.id).values(deleted_at=time.time()))
    return len(own)


def _note(connection: Connection, viewer: Viewer, concerned: list[int], sentence: str) -> None:
    """Note a deletion in the logs of those whom it concerns, and of all administrators of the server."""
    administrators = connection.execute(_ADMINISTRATORS).scalars()
    for user_id in dict.fromkeys([*concerned, *administrators]):
        account_events.add(connection, viewer, user_id, sentence)
