"""Which run made and used which version of an artifact."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "artifact_runs",
        sa.Column("run_id", sa.Integer(), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column(
            "artifact_number", sa.Integer(), sa.ForeignKey("artifacts.number", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("relation", sa.String(), nullable=False),
        sa.Column("noted_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "artifact_number", "relation"),
    )
    op.create_index("ix_artifact_runs_artifact_number", "artifact_runs", ["artifact_number"])


def downgrade() -> None:
    op.drop_table("artifact_runs")
