"""Which version of launchd gave the database its tables: an older one names it where it cannot read them."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("server_state", sa.Column("laid_out_by", sa.String()))


def downgrade() -> None:
    op.drop_column("server_state", "laid_out_by")
