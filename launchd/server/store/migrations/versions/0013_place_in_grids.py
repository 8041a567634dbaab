"""Where a sweep is in its grid, which is no longer how many runs it has made."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sweeps RENAME COLUMN runs_made TO grid_place")


def downgrade() -> None:
    op.execute("ALTER TABLE sweeps RENAME COLUMN grid_place TO runs_made")
