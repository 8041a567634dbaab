"""Whose output is being looked at, so that the agent that has it sends it."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "output_wishes",
        sa.Column(
            "item_number",
            sa.Integer().with_variant(sa.BigInteger(), "postgresql"),
            sa.ForeignKey("run_queue_items.number", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("wanted_until", sa.Float(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("output_wishes")
