"""An index on the contents of artifact files, to find those that no file refers to any more."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INDEX = "ix_artifact_files_content"


def upgrade() -> None:
    op.create_index(_INDEX, "artifact_files", ["content"])


def downgrade() -> None:
    op.drop_index(_INDEX, "artifact_files")
