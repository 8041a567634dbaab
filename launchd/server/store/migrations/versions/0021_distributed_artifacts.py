"""Versions of artifacts that several processes log together, under an id that they share."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_OPEN = "state = 'PENDING' AND distributed_id IS NOT NULL"


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("distributed_id", sa.String(), nullable=True))
    op.create_index(
        "artifacts_distributed",
        "artifacts",
        ["collection_id", "distributed_id"],
        unique=True,
        sqlite_where=sa.text(_OPEN),
        postgresql_where=sa.text(_OPEN),
    )


def downgrade() -> None:
    op.drop_index("artifacts_distributed", "artifacts")
    op.drop_column("artifacts", "distributed_id")
