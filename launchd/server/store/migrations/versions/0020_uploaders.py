"""Who uploaded a file of an artifact: what stands for an upload is only what the same user has uploaded."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Without a foreign key, which SQLite could only get by a copy of the largest table.
    op.add_column("artifact_files", sa.Column("uploader_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("artifact_files", "uploader_id")
