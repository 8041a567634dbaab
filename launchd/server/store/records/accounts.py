"""People, teams and projects."""

from launchd.server.store.records.base import Record


class Viewer(Record, frozen=True, kw_only=True):
    """Who sent a request."""

    user_id: int
    name: str
    email: str
    admin: bool
    entity: str
    """Default entity."""


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
