"""Runs."""

from launchd.server.store.records.base import Record


class Run(Record, frozen=True, kw_only=True):
    """A run."""

    id: int
    project_id: int
    project_name: str
    entity_name: str
    name: str
    display_name: str | None
    author_id: int | None
    state: str
    stopped: bool
    created_at: float
