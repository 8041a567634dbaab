"""Descriptions, tags and times of artifact collections; steps and lifetimes of versions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("artifact_collections", sa.Column("description", sa.Text(), nullable=True))
    op.add_column("artifact_collections", sa.Column("tags", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("artifact_collections", sa.Column("created_at", sa.Float(), nullable=True))
    op.add_column("artifact_collections", sa.Column("updated_at", sa.Float(), nullable=True))
    op.add_column("artifacts", sa.Column("history_step", sa.BigInteger(), nullable=True))
    op.add_column("artifacts", sa.Column("ttl_seconds", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    for column in ("ttl_seconds", "history_step"):
        op.drop_column("artifacts", column)
    for column in ("updated_at", "created_at", "tags", "description"):
        op.drop_column("artifact_collections", column)
