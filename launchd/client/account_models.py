"""Users, keys and members as our own server tells them, frozen.

Owns names and nullability on the wire. No behaviour, no I/O.
"""

from datetime import datetime

import msgspec


class KeyDetail(msgspec.Struct, frozen=True, rename="camel"):
    """An API key without its secret. `role` is VIEWER, MEMBER or ADMIN."""

    id: str
    description: str | None = None
    role: str = ""
    created_at: datetime | None = None
    last_used_at: datetime | None = None


class UserDetail(msgspec.Struct, frozen=True, rename="camel"):
    """A user or a service account, whose `entity` is its team. `admin`: administrator of the server."""

    id: str
    username: str
    email: str | None = None
    entity: str | None = None
    admin: bool | None = None
    is_service_account: bool = False


class Member(msgspec.Struct, frozen=True, rename="camel"):
    """Somebody in a team. `account_type` is MEMBER or SERVICE, `role` VIEWER, MEMBER or ADMIN."""

    id: str
    username: str
    role: str
    email: str | None = None
    account_type: str | None = None


class MadeKey(msgspec.Struct):
    """A new key, which is told once."""

    key: str

    def __repr__(self) -> str:
        return "MadeKey(key=...)"
