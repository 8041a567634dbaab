"""Sweeps and the agents that ask for their runs."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from launchd.server.store.tables.base import metadata

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("display_name", String),
    Column("description", Text),
    Column("state", String, nullable=False),
    # YAML, as it came.
    Column("config", Text, nullable=False),
    Column("method", String, nullable=False),
    Column("controller", Text),
    Column("scheduler", Text),
    # Its runs are put into a queue by a scheduler, which is itself an item.
    Column("launched", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("heartbeat_at", Float),
    # How many runs it has made: the next point of a grid.
    Column("runs_made", Integer, nullable=False),
    UniqueConstraint("project_id", "name"),
)

sweep_agents = Table(
    "sweep_agents",
    metadata,
    Column("id", String, primary_key=True),
    Column("sweep_id", ForeignKey("sweeps.id"), nullable=False, index=True),
    Column("host", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("heartbeat_at", Float, nullable=False),
    # The run that it was told to start last, and how often.
    Column("offered_run", String),
    Column("offers", Integer, nullable=False),
)
