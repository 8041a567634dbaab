"""Users, teams, members and service accounts: rows and statements. `roles` decides who may change them."""

import re
from collections.abc import Sequence

from sqlalchemy import Connection, Select, delete, func, insert, or_, select, update

from launchd.server.errors import NotFound, Refused
from launchd.server.models import MODEL_REGISTRY, EntityRecord, Member, Role, User, Viewer
from launchd.server.store.accounts import principals
from launchd.server.store.accounts.api_keys import USER_COLUMNS
from launchd.server.store.database import insert_row
from launchd.server.store.tables import (
    api_keys,
    artifact_collections,
    artifact_files,
    artifacts,
    entities,
    memberships,
    projects,
    users,
)

_MOST_USERS = 1000
_ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
_USERS_EVER = select(*USER_COLUMNS).join(entities, entities.c.id == users.c.default_entity_id)
_USERS = _USERS_EVER.where(users.c.deleted_at.is_(None))


def first_user(connection: Connection, name: str) -> User:
    """The server's first administrator, created with this name if there is none."""
    found = _users(connection, _USERS.where(users.c.admin).order_by(users.c.id).limit(1))
    if found:
        return found[0]
    principals.check_name("user", name)
    return _add_user(connection, name, "", admin=True)


def create_user(connection: Connection, name: str, email: str, *, admin: bool) -> User:
    """Create a user with an entity of the same name and, in it, the project for queues.

    Raises:
        Refused: the name is unfit or taken.
    """
    _check_new_name(connection, "user", name)
    return _add_user(connection, name, email, admin=admin)


def create_team(connection: Connection, name: str, admin: User) -> EntityRecord:
    """Create a team with one member, its admin, and the project for queues.

    Raises:
        Refused: the name is unfit or taken.
    """
    _check_new_name(connection, "team", name)
    team = _add_entity(connection, name, is_team=True)
    _add_member(connection, team.id, admin.user_id, Role.ADMIN)
    return team


def create_service_account(connection: Connection, team: EntityRecord, name: str) -> User:
    """Create a service account of a team: a member without an entity of its own.

    Raises:
        Refused: the name is unfit or taken.
    """
    _check_new_name(connection, "service account", name)
    made = _add_account(connection, name, "", team, is_service=True)
    _add_member(connection, team.id, made.user_id, Role.MEMBER)
    return made


def set_member(connection: Connection, team: EntityRecord, user: User, role: Role) -> None:
    """Make a user a member of a team, or change the member's role.

    Raises:
        Refused: a service account, which stays with its team; or the team would be left without an admin.
    """
    if user.is_service:
        raise Refused(f"{user.name!r} is a service account of {user.entity!r} and cannot join another team.")
    held = members_of(connection, team)
    if all(member.user.user_id != user.user_id for member in held):
        _add_member(connection, team.id, user.user_id, role)
        return
    if role != Role.ADMIN:
        _require_other_admin(team, held, user)
    place = memberships.c.entity_id == team.id, memberships.c.user_id == user.user_id
    connection.execute(update(memberships).where(*place).values(role=int(role)))


def remove_member(connection: Connection, team: EntityRecord, user: User) -> bool:
    """End a membership; a service account loses its keys too. False: there is none.

    Raises:
        Refused: the team would be left without an admin.
    """
    _require_other_admin(team, members_of(connection, team), user)
    if user.is_service and user.entity == team.name:
        connection.execute(delete(api_keys).where(api_keys.c.user_id == user.user_id))
    place = memberships.c.entity_id == team.id, memberships.c.user_id == user.user_id
    return connection.execute(delete(memberships).where(*place)).rowcount > 0


def _require_other_admin(team: EntityRecord, held: Sequence[Member], leaving: User) -> None:
    admins = [member.user.user_id for member in held if member.role == Role.ADMIN]
    if admins == [leaving.user_id]:
        raise Refused(f"{leaving.name!r} is the only admin of team {team.name!r}: make another member an admin first.")


def members_of(connection: Connection, entity: EntityRecord) -> list[Member]:
    """Members of an entity, by name."""
    wanted = (
        select(*USER_COLUMNS, memberships.c.role)
        .join(memberships, memberships.c.user_id == users.c.id)
        .join(entities, entities.c.id == users.c.default_entity_id)
        .where(memberships.c.entity_id == entity.id)
        .order_by(users.c.name)
    )
    rows = [dict(row._mapping) for row in connection.execute(wanted)]
    return [Member(role=Role(row.pop("role")), user=User(**row)) for row in rows]


def stored_bytes(connection: Connection, entity: EntityRecord) -> int:
    """Total size in bytes of the stored files of an entity's artifacts."""
    wanted = (
        select(func.coalesce(func.sum(artifact_files.c.size), 0))
        .join(artifacts, artifacts.c.number == artifact_files.c.artifact_number)
        .join(artifact_collections, artifact_collections.c.id == artifacts.c.collection_id)
        .join(projects, projects.c.id == artifact_collections.c.project_id)
        .where(projects.c.entity_id == entity.id, artifact_files.c.content.is_not(None))
    )
    return int(connection.execute(wanted).scalar_one())


def find_user(connection: Connection, name: str) -> User | None:
    """The user or service account of this name."""
    return next(iter(_users(connection, _USERS.where(users.c.name == name))), None)


def require_user(connection: Connection, name: str) -> User:
    """As `find_person`.

    Raises:
        NotFound: no user has this name.
    """
    found = find_user(connection, name)
    if found is None:
        raise NotFound(f"There is no user {name[:80]!r} here.")
    return found


def user_by_id(connection: Connection, user_id: int | None) -> User | None:
    """The user or service account with this number, also one that was deleted since."""
    return next(iter(_users(connection, _USERS_EVER.where(users.c.id == user_id))), None)


def find_users(connection: Connection, viewer: Viewer, text: str | None) -> list[User]:
    """Users who share an entity with the viewer, or all for an administrator; `text`: part of name or email."""
    wanted = _USERS.order_by(users.c.name).limit(_MOST_USERS)
    if not viewer.admin:
        mine = select(memberships.c.entity_id).where(memberships.c.user_id == viewer.user_id)
        fellows = select(memberships.c.user_id).where(memberships.c.entity_id.in_(mine))
        wanted = wanted.where(users.c.id.in_(fellows))
    if text:
        part = func.lower(text)
        found = (func.lower(column).contains(part, autoescape=False) for column in (users.c.name, users.c.email))
        wanted = wanted.where(or_(*found))
    return _users(connection, wanted)


def unused_name(connection: Connection, wish: str) -> str:
    """A free name for an account, made from `wish` (an email address or a description)."""
    plain = _NOT_IN_A_NAME.sub("-", wish.partition("@")[0]).strip("-._")[:50] or "user"
    numbered = (plain if number == 1 else f"{plain}-{number}" for number in range(1, _MOST_USERS))
    return next((name for name in numbered if not _is_taken(connection, name)), plain)


def _users(connection: Connection, wanted: Select[*tuple[object, ...]]) -> list[User]:
    return [User(**row._mapping) for row in connection.execute(wanted)]


def _is_taken(connection: Connection, name: str) -> bool:
    folded = name.lower()
    columns = (users.c.name, entities.c.name)
    return any(connection.execute(select(column).where(func.lower(column) == folded)).first() for column in columns)


def _check_new_name(connection: Connection, kind: str, name: str) -> None:
    """Users and teams share one set of names, which become entities; names travel in HTTP headers and paths."""
    if not _ACCOUNT_NAME.fullmatch(name):
        rule = "1 to 64 letters, digits and . _ - are needed, of which a letter or digit comes first."
        raise Refused(f"{name[:80]!r} is no name for a {kind}: {rule}")
    if _is_taken(connection, name):
        raise Refused(f"The name {name!r} is taken by a user, team or service account, or one that was deleted.")


def _add_user(connection: Connection, name: str, email: str, *, admin: bool) -> User:
    own = _add_entity(connection, name, is_team=False)
    made = _add_account(connection, name, email, own, admin=admin)
    _add_member(connection, own.id, made.user_id, Role.ADMIN)
    return made


def _add_entity(connection: Connection, name: str, *, is_team: bool) -> EntityRecord:
    number = insert_row(connection, insert(entities), {"name": name, "is_team": is_team})
    made = EntityRecord(id=number, name=name, is_team=is_team)
    principals.ensure_project(connection, made, MODEL_REGISTRY)
    return made


def _add_account(
    connection: Connection,
    name: str,
    email: str,
    entity: EntityRecord,
    *,
    admin: bool = False,
    is_service: bool = False,
) -> User:
    row = {"name": name, "email": email, "admin": admin, "is_service": is_service}
    number = insert_row(connection, insert(users), row | {"default_entity_id": entity.id})
    return User(user_id=number, name=name, email=email, admin=admin, is_service=is_service, entity=entity.name)


def _add_member(connection: Connection, entity_id: int, user_id: int, role: Role) -> None:
    row = {"user_id": user_id, "entity_id": entity_id, "role": int(role)}
    connection.execute(insert(memberships), row)
