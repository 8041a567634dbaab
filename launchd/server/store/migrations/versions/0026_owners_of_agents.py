"""Whose agent an agent is, and who asked it to leave."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not Alembic's batches; see 0002. Whose the agents of before are is not known.
    op.execute("ALTER TABLE launch_agents ADD COLUMN owner_id INTEGER REFERENCES users (id)")
    op.add_column("launch_agents", sa.Column("stop_polling_by", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("launch_agents", "stop_polling_by")
    op.drop_column("launch_agents", "owner_id")
