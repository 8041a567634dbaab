"""Runs, their lines, their files."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from launchd.server.store.tables.base import metadata

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("display_name", String),
    Column("author_id", ForeignKey("users.id")),
    Column("state", String, nullable=False),
    Column("stopped", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    # Null before the first heartbeat of the run's client: only an agent reports for it.
    Column("heartbeat_at", Float),
    # The same by the store's clock.
    Column("heard_at", Float),
    Column("exit_code", Integer),
    Column("group_name", String),
    Column("job_type", String),
    Column("sweep_id", ForeignKey("sweeps.id"), index=True),
    Column("sweep_agent_id", ForeignKey("sweep_agents.id")),
    Column("host", String),
    Column("program", String),
    Column("repo", String),
    Column("commit_hash", String),
    Column("tags", Text),
    Column("history_lines", Integer, nullable=False, server_default="0"),
    # Of these, the first ones, copied from the run that it was forked from.
    Column("inherited_lines", Integer, nullable=False, server_default="0"),
    Column("event_lines", Integer, nullable=False, server_default="0"),
    Column("console_lines", Integer, nullable=False, server_default="0"),
    Column("description", Text),
    Column("notes", Text),
    # JSON as received; last in the row, because these may be large.
    Column("config", Text),
    Column("summary", Text),
    Column("history_keys", Text),
    UniqueConstraint("project_id", "name"),
    Index(
        "runs_alive",
        "heard_at",
        sqlite_where=text("state IN ('running', 'preempting')"),
        postgresql_where=text("state IN ('running', 'preempting')"),
    ),
)

run_lines = Table(
    "run_lines",
    metadata,
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("stream", SmallInteger, primary_key=True),
    Column("number", Integer, primary_key=True),
    # Set for lines of the history only.
    Column("step", BigInteger),
    Column("content", Text, nullable=False),
    Index(
        "run_lines_by_step",
        "run_id",
        "step",
        sqlite_where=text("step IS NOT NULL"),
        postgresql_where=text("step IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

run_files = Table(
    "run_files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("name", String, nullable=False),
    # The rest is null until the file has arrived.
    Column("content", String, index=True),
    Column("md5", String),
    Column("size", BigInteger),
    Column("updated_at", Float),
    UniqueConstraint("run_id", "name"),
)

run_alerts = Table(
    "run_alerts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    # INFO, WARN or ERROR.
    Column("severity", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("run_alerts_by_run", "run_id", "id"),
)
