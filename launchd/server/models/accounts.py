"""People, teams, keys and projects."""

import enum
from typing import Self

import msgspec

from launchd.server.models.base import Record


class Role(enum.IntEnum):
    """What a member may do in an entity, and what at most a key may do for its owner; each includes those before it."""

    VIEWER = 1
    """Look."""
    MEMBER = 2
    """Change what the entity has: push, serve queues, log runs and artifacts, stop, delete."""
    ADMIN = 3
    """Manage members, service accounts and keys."""


class User(Record, frozen=True, kw_only=True):
    """A user or a service account."""

    user_id: int
    name: str
    email: str
    admin: bool
    """Manages the server's users and teams; sees nothing of an entity without being its member."""
    is_service: bool
    entity: str
    """Default entity; of a service account, its team."""


class Viewer(User, frozen=True, kw_only=True):
    """Who sent a request, with which rights, and in whose name."""

    key_role: Role
    author_id: int
    """Whom items and runs belong to: the viewer, or the team member that a service account names."""
    author: str
    least_role: Role = Role.VIEWER
    """Role that an entity must have given the viewer for this request; see `store.access`."""

    def looking(self) -> Self:
        """The same viewer, who sees all that they may look at."""
        return msgspec.structs.replace(self, least_role=Role.VIEWER)

    def writing(self) -> Self:
        """The same viewer, who sees only what they may change."""
        return msgspec.structs.replace(self, least_role=Role.MEMBER)

    def managing(self) -> Self:
        """The same viewer, who sees only what they may manage."""
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
    """A person in an entity."""

    user: User
    role: Role


class EntityRecord(Record, frozen=True, kw_only=True):
    """A person or a team: the owner of projects."""

    id: int
    name: str
    is_team: bool


class ProjectRecord(Record, frozen=True, kw_only=True):
    """Where queues, runs and artifacts stand."""

    id: int
    entity_id: int
    entity_name: str
    name: str
    description: str | None
    access: str | None
    created_at: float
