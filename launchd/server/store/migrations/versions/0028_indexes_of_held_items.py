"""Indexes for what is asked at each heartbeat and by metrics: no statement of theirs reads the history."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_HELD = sa.text("state = 'LEASED' OR state = 'CLAIMED'")


def upgrade() -> None:
    op.create_index(
        "run_queue_items_held",
        "run_queue_items",
        ["queue_id", "state"],
        sqlite_where=_HELD,
        postgresql_where=_HELD,
    )
    op.create_index("launch_agents_of_machine", "launch_agents", ["machine_id"])


def downgrade() -> None:
    op.drop_index("launch_agents_of_machine", "launch_agents")
    op.drop_index("run_queue_items_held", "run_queue_items")
