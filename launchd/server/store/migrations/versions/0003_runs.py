"""What runs are, what they logged, their files; items that follow their runs."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_IS_HEARD_OF = sa.text("state IN ('running', 'preempting')")
_HAS_STEP = sa.text("step IS NOT NULL")
_TEXTS = ("group_name", "job_type", "host", "program", "repo", "commit_hash")
_LONG_TEXTS = ("tags", "description", "notes", "config", "summary", "history_keys")
_COUNTERS = ("history_lines", "event_lines", "console_lines")


def upgrade() -> None:
    _add(
        "runs",
        sa.Column("heartbeat_at", sa.Float(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
    )
    _add("runs", *(sa.Column(name, sa.String(), nullable=True) for name in _TEXTS))
    _add("runs", *(sa.Column(name, sa.Integer(), nullable=False, server_default="0") for name in _COUNTERS))
    _add("runs", *(sa.Column(name, sa.Text(), nullable=True) for name in _LONG_TEXTS))
    op.create_index("runs_alive", "runs", ["heartbeat_at"], sqlite_where=_IS_HEARD_OF, postgresql_where=_IS_HEARD_OF)
    _add("run_queue_items", sa.Column("follows_run", sa.Boolean(), nullable=False, server_default=sa.false()))
    _create_lines()
    _create_files()


def _add(table: str, *columns: sa.Column[Any]) -> None:
    for column in columns:
        op.add_column(table, column)


def _create_lines() -> None:
    op.create_table(
        "run_lines",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("stream", sa.SmallInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "stream", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "run_lines_by_step", "run_lines", ["run_id", "step"], sqlite_where=_HAS_STEP, postgresql_where=_HAS_STEP
    )


def _create_files() -> None:
    op.create_table(
        "run_files",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=True),
        sa.Column("md5", sa.String(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "name"),
    )
    op.create_index("ix_run_files_content", "run_files", ["content"])


def downgrade() -> None:
    op.drop_table("run_files")
    op.drop_table("run_lines")
    op.drop_column("run_queue_items", "follows_run")
    op.drop_index("runs_alive", "runs")
    for name in (*_LONG_TEXTS, *_COUNTERS, *_TEXTS, "exit_code", "heartbeat_at"):
        op.drop_column("runs", name)
