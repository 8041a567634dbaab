"""API keys: owner, role, last use. Keys are generated here; only their digests are stored."""

import hashlib
import secrets
import string
import time

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from launchd.server.models import ApiKey, KeyRole, User, Viewer
from launchd.server.store.database import insert_row
from launchd.server.store.tables import api_keys, entities, memberships, users

USER_COLUMNS = (
    users.c.id.label("user_id"),
    users.c.name,
    users.c.email,
    users.c.admin,
    users.c.is_service,
    entities.c.name.label("entity"),
)
"""Columns of a `Person`, of users joined with their default entity."""

_OWNER = (
    select(
        *USER_COLUMNS,
        users.c.default_entity_id,
        api_keys.c.role,
        api_keys.c.id.label("key_id"),
        api_keys.c.last_used_at,
    )
    .join(api_keys, api_keys.c.user_id == users.c.id)
    .join(entities, entities.c.id == users.c.default_entity_id)
    .where(api_keys.c.digest == bindparam("of_digest"))
)
_MEMBER = (
    select(users.c.id, users.c.name)
    .join(memberships, memberships.c.user_id == users.c.id)
    .where(memberships.c.entity_id == bindparam("of_team"), users.c.name == bindparam("of_name"))
)
_KEYS = select(
    api_keys.c.id,
    api_keys.c.user_id,
    api_keys.c.description,
    api_keys.c.role,
    api_keys.c.created_at,
    api_keys.c.last_used_at,
)
_HAD_KEY = update(users).where(users.c.id == bindparam("of_id")).values(had_key=True)
_USED_KEY = (
    update(users)
    .where(users.c.id.in_(select(api_keys.c.user_id).where(api_keys.c.digest == bindparam("of_digest"))))
    .where(users.c.used_key.is_(False))
    .values(used_key=True)
)
_USED = update(api_keys).where(api_keys.c.digest == bindparam("of_digest"))

_ALPHABET = string.ascii_lowercase + string.digits
_LENGTH = 40


def new_key() -> str:
    """40 characters of a-z and 0-9, the form W&B's clients accept (206 bits)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def digest_of(key: str) -> str:
    """SHA-256 in hex. Enough without salt or stretching: keys are random, not chosen."""
    return hashlib.sha256(key.encode()).hexdigest()


def issue(connection: Connection, owner: User, description: str, role: KeyRole) -> tuple[ApiKey, str]:
    """Generate a key for `owner` and store its digest. Returns the record and the key, which cannot be read again."""
    key = new_key()
    return add(connection, owner, digest_of(key), description, role), key


def viewer_of_key(connection: Connection, digest: str, author: str = "") -> Viewer | None:
    """The viewer of the key with this digest. `author` names, for a service account, the member of its team to act for.

    The name of no member is ignored, so that the jobs of a user who has left the team can still end.
    """
    row = connection.execute(_OWNER, {"of_digest": digest}).first()
    if row is None:
        return None
    named = {"of_team": row.default_entity_id, "of_name": author}
    member = connection.execute(_MEMBER, named).first() if row.is_service and author else None
    user = {column.name: row._mapping[column.name] for column in USER_COLUMNS}
    role = KeyRole(row.role)
    return Viewer(
        **user,
        key_role=role.role,
        key_id=row.key_id,
        scope=role.scope,
        author_id=member.id if member else row.user_id,
        author=member.name if member else row.name,
    )


def member_named(connection: Connection, team_id: int, name: str) -> int | None:
    """Number of the entity's member with this name."""
    return connection.execute(_MEMBER, {"of_team": team_id, "of_name": name}).scalar()


def record_use(connection: Connection, digest: str) -> None:
    """Record that the key is used now."""
    connection.execute(_USED, {"of_digest": digest, "last_used_at": time.time()})
    connection.execute(_USED_KEY, {"of_digest": digest})


def add(connection: Connection, owner: User, digest: str, description: str, role: KeyRole) -> ApiKey:
    """Store the digest of a new key."""
    now = time.time()
    row = {"user_id": owner.user_id, "description": description, "role": int(role), "created_at": now}
    key_id = insert_row(connection, insert(api_keys), row | {"digest": digest})
    connection.execute(_HAD_KEY, {"of_id": owner.user_id})
    return ApiKey(
        id=key_id, user_id=owner.user_id, description=description, role=role, created_at=now, last_used_at=None
    )


def keys_of(connection: Connection, user_id: int) -> list[ApiKey]:
    """Keys of one user, the oldest first."""
    found = connection.execute(_KEYS.where(api_keys.c.user_id == user_id).order_by(api_keys.c.id))
    return [ApiKey(**{**row._mapping, "role": KeyRole(row.role)}) for row in found]


def find_key(connection: Connection, key_id: int) -> ApiKey | None:
    """The key with this number, of any user."""
    row = connection.execute(_KEYS.where(api_keys.c.id == key_id)).first()
    return ApiKey(**{**row._mapping, "role": KeyRole(row.role)}) if row else None


def revoke_all(connection: Connection, owner: User) -> int:
    """Delete all keys of a user. Returns how many there were."""
    return connection.execute(delete(api_keys).where(api_keys.c.user_id == owner.user_id)).rowcount


def had_key(connection: Connection, owner: User) -> bool:
    """Whether the user has or ever had a key."""
    return bool(connection.execute(select(users.c.had_key).where(users.c.id == owner.user_id)).scalar())


def used_key(connection: Connection, owner: User) -> bool:
    """Whether the user ever used a key."""
    return bool(connection.execute(select(users.c.used_key).where(users.c.id == owner.user_id)).scalar())


def revoke(connection: Connection, key_id: int) -> bool:
    """Delete a key. False: it does not exist."""
    return connection.execute(delete(api_keys).where(api_keys.c.id == key_id)).rowcount > 0
