"""Keys of pushes, so that a push that is repeated queues one item."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_HAS_KEY = sa.text("push_key IS NOT NULL")


def upgrade() -> None:
    op.add_column("run_queue_items", sa.Column("push_key", sa.String(), nullable=True))
    op.create_index(
        "run_queue_items_by_key",
        "run_queue_items",
        ["queue_id", "push_key"],
        unique=True,
        sqlite_where=_HAS_KEY,
        postgresql_where=_HAS_KEY,
    )


def downgrade() -> None:
    op.drop_index("run_queue_items_by_key", "run_queue_items")
    op.drop_column("run_queue_items", "push_key")
