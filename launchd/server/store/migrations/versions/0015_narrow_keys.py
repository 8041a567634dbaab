"""Who pushed an item, queues to which jobs may push, and what others did to the keys of an account."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_KNOWN_SUBMITTERS = """
    UPDATE run_queue_items SET submitter_id = author_id WHERE NOT EXISTS (
        SELECT 1 FROM run_queues
        JOIN projects ON projects.id = run_queues.project_id
        JOIN users ON users.default_entity_id = projects.entity_id AND users.is_service
        WHERE run_queues.id = run_queue_items.queue_id
    )
"""
"""A service account of the queue's team may have pushed an item in another's name: there, it stays unknown."""


def upgrade() -> None:
    # Not Alembic's batches; see 0002.
    op.execute("ALTER TABLE run_queue_items ADD COLUMN submitter_id INTEGER REFERENCES users (id)")
    op.execute(_KNOWN_SUBMITTERS)
    op.add_column("run_queues", sa.Column("jobs_may_push", sa.Boolean(), nullable=False, server_default=sa.false()))
    for column in ("had_key", "used_key"):
        op.add_column("users", sa.Column(column, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE users SET had_key = true, used_key = true")
    op.create_table(
        "account_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=False),
        sa.Column("happened_at", sa.Float(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("account_events_of_user", "account_events", ["user_id", "id"])


def downgrade() -> None:
    """An older server would take an agent's key, whose role it does not know, for a member's: it is revoked."""
    op.execute("DELETE FROM api_keys WHERE role > 3")
    op.drop_table("account_events")
    for column in ("used_key", "had_key"):
        op.drop_column("users", column)
    op.drop_column("run_queues", "jobs_may_push")
    op.drop_column("run_queue_items", "submitter_id")
