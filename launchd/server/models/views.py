"""Records of views."""

from launchd.server.models.base import Record


class View(Record, frozen=True, kw_only=True):
    """A report or a saved workspace of a project. `spec` is what its program saved, for itself."""

    id: int
    project_id: int
    type: str
    name: str | None
    display_name: str | None
    description: str | None
    spec: str | None
    author_id: int | None
    created_at: float
    updated_at: float
    created_using: str | None
    locked: bool
