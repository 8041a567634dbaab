"""Who logged a version of an artifact, and who uploaded a file: nothing of another user's stands for an upload."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Without foreign keys, which SQLite could only get by a copy of its largest tables.
    op.add_column("artifacts", sa.Column("maker_id", sa.Integer(), nullable=True))
    op.add_column("artifact_files", sa.Column("uploader_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("artifact_files", "uploader_id")
    op.drop_column("artifacts", "maker_id")
