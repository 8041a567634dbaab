"""When users, service accounts and teams were deleted: their rows stay, because runs and items name their authors."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_TABLES = ("users", "entities")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("deleted_at", sa.Float()))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "deleted_at")
