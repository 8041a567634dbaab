"""Sweeps, their agents, and the progress of runs under early stopping."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

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
    # YAML as received.
    Column("config", Text, nullable=False),
    Column("method", String, nullable=False),
    Column("controller", Text),
    Column("scheduler", Text),
    # Its runs are queued by a scheduler, which is itself an item.
    Column("launched", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("heartbeat_at", Float),
    # The next point of its grid, if it has one.
    Column("grid_place", Integer, nullable=False),
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
    # The last run that it was told to start, and how often.
    Column("offered_run", String),
    Column("offers", Integer, nullable=False),
)

sweep_progress = Table(
    "sweep_progress",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id"), primary_key=True),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, index=True),
    # Lines of the run's history that have been read.
    Column("lines_read", Integer, nullable=False),
    Column("iterations", Integer, nullable=False),
    # The best loss (smaller is better); infinite before the first iteration.
    Column("best", Float, nullable=False),
)

sweep_bands = Table(
    "sweep_bands",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id"), primary_key=True),
    Column("band", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, index=True),
    # Loss of the run at that iteration (smaller is better).
    Column("loss", Float, nullable=False),
    Index("sweep_bands_by_loss", "sweep_id", "band", "loss"),
)
