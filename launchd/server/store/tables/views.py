"""Views of projects: reports and saved workspaces, kept as they are."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, false

from launchd.server.store.tables.base import metadata

views = Table(
    "views",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("type", String, nullable=False),
    Column("name", String),
    Column("display_name", Text),
    Column("description", Text),
    Column("spec", Text),
    Column("author_id", ForeignKey("users.id")),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("created_using", String),
    Column("locked", Boolean, nullable=False, server_default=false()),
    Index("views_by_project", "project_id", "type", "id"),
)
