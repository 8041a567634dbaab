"""Records of users, teams, keys and projects."""

import enum
from typing import Self

import msgspec

from launchd.server.models.base import Record


class Role(enum.IntEnum):
    """What a member may do in an entity, and at most a key for its owner; each includes those before it."""

    VIEWER = 1
    """Read."""
    MEMBER = 2
    """Change the entity's objects: push, serve queues, log runs and artifacts, stop, delete."""
    ADMIN = 3
    """Manage members, service accounts and keys."""


class User(Record, frozen=True, kw_only=True):
    """A user or a service account."""

    user_id: int
    name: str
    email: str
    admin: bool
    """Manages the server's users and teams; sees only the entities that it is a member of."""
    is_service: bool
    entity: str
    """Default entity; of a service account, its team."""


class Viewer(User, frozen=True, kw_only=True):
    """The user who sent a request, with its rights and its author."""

    key_role: Role
    author_id: int
    """Owner of new items and runs: the viewer, or the team member that a service account names."""
    author: str
    least_role: Role = Role.VIEWER
    """Role that the viewer needs in an entity for this request; see `store.accounts.authorization`."""

    def looking(self) -> Self:
        """The viewer, restricted to what they may read."""
        return msgspec.structs.replace(self, least_role=Role.VIEWER)

    def writing(self) -> Self:
        """The viewer, restricted to what they may change."""
        return msgspec.structs.replace(self, least_role=Role.MEMBER)

    def managing(self) -> Self:
        """The viewer, restricted to what they may manage."""
        return msgspec.structs.replace(self, least_role=Role.ADMIN)


class ApiKey(Record, frozen=True, kw_only=True):
    """An API key without its secret. Times are seconds since 1970."""

    id: int
    user_id: int
    description: str
    role: Role
    created_at: float
    last_used_at: float | None
    name: str | None = None
    """The key itself, in the one answer that shows it."""


class Member(Record, frozen=True, kw_only=True):
    """A user's membership in an entity."""

    user: User
    role: Role


class EntityRecord(Record, frozen=True, kw_only=True):
    """A user's own entity or a team: the owner of projects."""

    id: int
    name: str
    is_team: bool


class ProjectRecord(Record, frozen=True, kw_only=True):
    """A project, which holds queues, runs and artifacts."""

    id: int
    entity_id: int
    entity_name: str
    name: str
    description: str | None
    access: str | None
    created_at: float
