"""Checks of who may manage users, teams and keys.

An administrator of the server creates users and teams, and may change the members of every team; an admin of a team
manages that team and its service accounts; each user manages their own keys. All of it needs a key of role admin, so
that the key in a job's environment cannot create further access.

An administrator can revoke and reset the keys of every account, and makes the first key of a new one; no other key,
with which the administrator would be another user.
"""

from sqlalchemy import Connection

from launchd.server.errors import NotAllowed, NotFound, Refused
from launchd.server.models import ApiKey, EntityRecord, Role, User, Viewer
from launchd.server.store.accounts import accounts, api_keys, principals
from launchd.server.store.ids import row_number

_NOBODY = User(user_id=0, name="", email="", admin=False, is_service=False, entity="")


def require_administrator(viewer: Viewer) -> None:
    """Raises:
    NotAllowed: the viewer is not an administrator of the server, or the key may not manage.
    """
    _require_admin_key(viewer)
    if not viewer.admin:
        raise NotAllowed("Only an administrator of this queue server may do this.")


def require_team(connection: Connection, viewer: Viewer, name: str) -> EntityRecord:
    """The team, if the viewer may manage it.

    Raises:
        NotFound: no such team that the viewer may see.
        NotAllowed: the viewer may not manage it.
        Refused: it is a user's own entity.
    """
    _require_admin_key(viewer)
    found = principals.entity_named(connection, name) if viewer.admin else None
    team = found or principals.require_entity(connection, viewer.managing(), name)
    if not team.is_team:
        raise Refused(f"{name!r} is the entity of a user, not a team: it can have no other members.")
    return team


def require_owner(connection: Connection, viewer: Viewer, name: str | None) -> User:
    """The user for whom a key is to be made, if the viewer may do that. None means the viewer.

    Raises:
        NotAllowed: no user has this name, or the viewer may not manage this user's keys: which, is not told.
    """
    _require_admin_key(viewer)
    owner = accounts.find_user(connection, name or viewer.name)
    if not may_manage_keys(connection, viewer, owner or _NOBODY) or owner is None:
        raise NotAllowed(f"There is no user {(name or viewer.name)[:80]!r} here whose API keys you may manage.")
    if not _is_in_charge(connection, viewer, owner) and api_keys.had_key(connection, owner):
        raise NotAllowed(
            f"An administrator makes no further API keys of {owner.name!r}, with which to act as {owner.name!r}: revoke"
            f" one (`launchd key revoke`), or reset them (`launchd user reset {owner.name}`)."
        )
    return owner


def require_reset(connection: Connection, viewer: Viewer, name: str) -> User:
    """The user whose keys are to be reset, if the viewer may do that.

    Raises:
        NotFound: no user has this name.
        NotAllowed: the viewer is no administrator of the server.
        Refused: it is the viewer.
    """
    require_administrator(viewer)
    owner = accounts.require_user(connection, name)
    if owner.user_id == viewer.user_id:
        raise Refused("These are your own API keys: make and revoke them by `launchd key`.")
    return owner


def require_key(connection: Connection, viewer: Viewer, key_id: str) -> tuple[ApiKey, User]:
    """The key with this number and its owner, if the viewer may manage it.

    Raises:
        NotFound: no such key that the viewer may manage.
    """
    _require_admin_key(viewer)
    number = row_number(key_id)
    found = None if number is None else api_keys.find_key(connection, number)
    owner = accounts.user_by_id(connection, found.user_id) if found else None
    if found is None or owner is None or not may_manage_keys(connection, viewer, owner):
        raise NotFound(f"There is no API key {key_id[:40]!r} that you may manage.")
    return found, owner


def may_manage_keys(connection: Connection, viewer: Viewer, owner: User) -> bool:
    """Whether the viewer may see and revoke them: who is in charge of the account may, and administrators."""
    is_in_charge = _is_in_charge(connection, viewer, owner)
    return viewer.key_role == Role.ADMIN and (viewer.admin or is_in_charge)


def _is_in_charge(connection: Connection, viewer: Viewer, owner: User) -> bool:
    """True for the viewer's own account, and for admins of a service account's team."""
    # Asked for each owner, so that the time tells nothing of who there is.
    manages_entity = principals.find_entity(connection, viewer.managing(), owner.entity) is not None
    return viewer.user_id == owner.user_id or (owner.is_service and manages_entity)


def _require_admin_key(viewer: Viewer) -> None:
    if viewer.key_role != Role.ADMIN:
        role = Role(viewer.key_role).name.lower()
        raise NotAllowed(f"This API key has the role {role}: managing users, teams and keys takes one of role admin.")
