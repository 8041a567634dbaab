"""Users, teams and API keys."""

from datetime import datetime

import msgspec


class Viewer(msgspec.Struct, frozen=True):
    """The owner of an API key. `entity` is the default entity; `teams` are the other entities that the key may use."""

    username: str | None = None
    entity: str | None = None
    teams: tuple[str, ...] = ()


class KeyDetail(msgspec.Struct, frozen=True, rename="camel"):
    """An API key without its secret. `role` is VIEWER, MEMBER, ADMIN or AGENT."""

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
    """A member of a team. `account_type` is MEMBER or SERVICE, `role` VIEWER, MEMBER or ADMIN."""

    id: str
    username: str
    role: str
    email: str | None = None
    account_type: str | None = None


class CreatedKey(msgspec.Struct):
    """A new key, which the server sends once."""

    key: str

    def __repr__(self) -> str:
        return "CreatedKey(key=...)"


class DeletedAccount(msgspec.Struct, frozen=True, rename="camel"):
    """What went with a user, a service account or a team: how many API keys, queues and service accounts."""

    keys: int = 0
    queues: int = 0
    service_accounts: int = 0


class ResetKeys(msgspec.Struct, frozen=True):
    """How many keys of a user were revoked, and the new one, or the file on the server's host that has it."""

    revoked: int
    key: str | None = None
    file: str | None = None

    def __repr__(self) -> str:
        return f"ResetKeys(revoked={self.revoked}, key=..., file={self.file!r})"


class AccountEvent(msgspec.Struct, frozen=True, rename="camel"):
    """What another user did to the keys of an account."""

    actor: str
    created_at: datetime
    sentence: str
