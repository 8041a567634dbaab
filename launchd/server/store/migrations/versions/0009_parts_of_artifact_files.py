"""Parts of files of artifacts that are uploaded in parts."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "artifact_parts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("file_id", sa.Integer(), sa.ForeignKey("artifact_files.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("md5", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("file_id", "number"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_artifact_parts_content", "artifact_parts", ["content"])


def downgrade() -> None:
    op.drop_table("artifact_parts")
