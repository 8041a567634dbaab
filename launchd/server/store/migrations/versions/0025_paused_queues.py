"""Queues that are paused, and the queue of a push, which an item may have left since."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_HAS_KEY = sa.text("push_key IS NOT NULL")


def upgrade() -> None:
    op.add_column("run_queues", sa.Column("paused_at", sa.Float(), nullable=True))
    op.add_column("run_queues", sa.Column("paused_by", sa.String(), nullable=True))
    # Not Alembic's batches; see 0002.
    op.execute("ALTER TABLE run_queue_items ADD COLUMN pushed_to VARCHAR REFERENCES run_queues (id)")
    op.execute("UPDATE run_queue_items SET pushed_to = queue_id WHERE push_key IS NOT NULL")
    _index_keys("pushed_to")


def downgrade() -> None:
    # Of two items with one key in the queue to which both were moved, the older one keeps it.
    op.execute(
        "UPDATE run_queue_items SET push_key = NULL WHERE pushed_to <> queue_id AND EXISTS (SELECT 1 FROM"
        " run_queue_items AS other WHERE other.push_key = run_queue_items.push_key"
        " AND other.queue_id = run_queue_items.queue_id AND other.number <> run_queue_items.number)"
    )
    _index_keys("queue_id")
    op.drop_column("run_queue_items", "pushed_to")
    op.drop_column("run_queues", "paused_by")
    op.drop_column("run_queues", "paused_at")


def _index_keys(queue_column: str) -> None:
    op.drop_index("run_queue_items_by_key", "run_queue_items")
    op.create_index(
        "run_queue_items_by_key",
        "run_queue_items",
        [queue_column, "push_key"],
        unique=True,
        sqlite_where=_HAS_KEY,
        postgresql_where=_HAS_KEY,
    )
