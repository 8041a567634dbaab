"""Portfolios: collections to which versions of other collections are linked."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "artifact_collections", sa.Column("is_portfolio", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("artifact_collections", sa.Column("links_made", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "artifact_links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("collection_id", sa.Integer(), nullable=False),
        sa.Column("artifact_number", sa.Integer(), nullable=False),
        sa.Column("version_index", sa.Integer(), nullable=False),
        sa.Column("linked_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["artifact_collections.id"]),
        sa.ForeignKeyConstraint(["artifact_number"], ["artifacts.number"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("collection_id", "artifact_number"),
        sa.UniqueConstraint("collection_id", "version_index"),
    )
    op.create_index("ix_artifact_links_artifact_number", "artifact_links", ["artifact_number"])


def downgrade() -> None:
    """An older server would take a portfolio for something that versions can be logged to."""
    op.drop_table("artifact_links")
    op.execute(
        "DELETE FROM artifact_aliases WHERE collection_id IN (SELECT id FROM artifact_collections WHERE is_portfolio)"
    )
    op.execute("DELETE FROM artifact_collections WHERE is_portfolio")
    for column in ("links_made", "is_portfolio"):
        op.drop_column("artifact_collections", column)
