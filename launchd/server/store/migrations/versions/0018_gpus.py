"""What items ask for in GPUs, and what agents say of theirs, so that an agent claims what fits."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_WAITING, _PASSED = sa.text("state = 'PENDING'"), sa.text("state = 'PENDING' AND passed_at IS NOT NULL")


def upgrade() -> None:
    # Items that wait already are given to any agent, as before.
    op.add_column("run_queue_items", sa.Column("demand", sa.String(), nullable=False, server_default=""))
    op.add_column("run_queue_items", sa.Column("passed_at", sa.Float(), nullable=True))
    op.add_column("launch_agents", sa.Column("gpus", sa.Text(), nullable=True))
    op.add_column("launch_agents", sa.Column("gpus_version", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index(
        "run_queue_items_by_demand",
        "run_queue_items",
        ["queue_id", "is_scheduler", "demand", "priority", "number"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
    op.create_index(
        "run_queue_items_passed",
        "run_queue_items",
        ["queue_id", "demand", "passed_at"],
        sqlite_where=_PASSED,
        postgresql_where=_PASSED,
    )
    op.create_index("launch_agent_queues_of_queue", "launch_agent_queues", ["queue_id"])


def downgrade() -> None:
    op.drop_index("launch_agent_queues_of_queue", "launch_agent_queues")
    op.drop_index("run_queue_items_passed", "run_queue_items")
    op.drop_index("run_queue_items_by_demand", "run_queue_items")
    op.drop_column("launch_agents", "gpus_version")
    op.drop_column("launch_agents", "gpus")
    op.drop_column("run_queue_items", "passed_at")
    op.drop_column("run_queue_items", "demand")
