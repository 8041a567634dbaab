"""Records of users, teams, keys and projects."""

import enum
from typing import Self

import msgspec

from launchd.server.models.base import Record

MODEL_REGISTRY = "model-registry"
"""The project that holds an entity's queues and the runs of its agents, by W&B's convention."""


class Role(enum.IntEnum):
    """What a member may do in an entity, and at most a key for its owner; each includes those before it."""

    VIEWER = 1
    """Read."""
    MEMBER = 2
    """Change the entity's objects: push, serve queues, log runs and artifacts, stop, delete."""
    ADMIN = 3
    """Manage members, service accounts and keys."""


class KeyRole(enum.IntEnum):
    """What an API key is made for. The first three let it do at most what that role may, see `Role`."""

    VIEWER = Role.VIEWER
    MEMBER = Role.MEMBER
    ADMIN = Role.ADMIN
    AGENT = 4
    """Serve queues, log the agent's own run, and change nothing else; it reads as its owner."""

    @property
    def role(self) -> Role:
        """The role that bounds what the key may do."""
        return Role.MEMBER if self is KeyRole.AGENT else Role(self.value)

    @property
    def scope(self) -> "Scope":
        """Which part of what that role may do."""
        return Scope.AGENT if self is KeyRole.AGENT else Scope.ALL


class Scope(enum.IntEnum):
    """Which part of what its owner may change a key is for; see `store.accounts.authorization`."""

    ALL = 0
    AGENT = 1
    """What serving queues takes."""
    JOB = 2
    """What the job of one item takes: the project of its run."""


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
    scope: Scope = Scope.ALL
    key_id: int = 0
    """Number of the key; 0: it is a job's, which none is kept of."""
    item: int = 0
    """Number of the item whose job has the key; 0: it is no job's."""

    def looking(self) -> Self:
        """The viewer, restricted to what they may read."""
        return msgspec.structs.replace(self, least_role=Role.VIEWER)

    def writing(self) -> Self:
        """The viewer, restricted to what they may change."""
        return msgspec.structs.replace(self, least_role=Role.MEMBER)

    def managing(self) -> Self:
        """The viewer, restricted to what they may manage."""
        return msgspec.structs.replace(self, least_role=Role.ADMIN)

    def as_submitter(self) -> Self:
        """The viewer, restricted to what they may change; of a job, to what its submitter may, in any project."""
        scope = Scope.ALL if self.scope is Scope.JOB else self.scope
        return msgspec.structs.replace(self, least_role=Role.MEMBER, scope=scope)


class ApiKey(Record, frozen=True, kw_only=True):
    """An API key without its secret. Times are seconds since 1970."""

    id: int
    user_id: int
    description: str
    role: KeyRole
    created_at: float
    last_used_at: float | None
    name: str | None = None
    """The key itself, in the one answer that shows it."""


class AccountEvent(Record, frozen=True, kw_only=True):
    """What another user did to the keys of an account. Times are seconds since 1970."""

    actor: str
    created_at: float
    sentence: str


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
