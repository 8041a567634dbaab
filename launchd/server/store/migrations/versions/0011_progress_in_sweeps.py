"""How far the runs of a sweep have come, for sweeps that stop runs early."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sweep_progress",
        sa.Column("sweep_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("lines_read", sa.Integer(), nullable=False),
        sa.Column("iterations", sa.Integer(), nullable=False),
        sa.Column("best", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"]),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sweep_id", "run_id"),
    )
    op.create_index("ix_sweep_progress_run_id", "sweep_progress", ["run_id"])
    op.create_table(
        "sweep_bands",
        sa.Column("sweep_id", sa.Integer(), nullable=False),
        sa.Column("band", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("loss", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"]),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sweep_id", "band", "run_id"),
    )
    op.create_index("ix_sweep_bands_run_id", "sweep_bands", ["run_id"])
    op.create_index("sweep_bands_by_loss", "sweep_bands", ["sweep_id", "band", "loss"])


def downgrade() -> None:
    op.drop_table("sweep_bands")
    op.drop_table("sweep_progress")
