"""Where those files of artifacts are that are kept elsewhere."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("artifact_files", sa.Column("reference", sa.Text(), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM artifact_files WHERE reference IS NOT NULL")
    op.drop_column("artifact_files", "reference")
