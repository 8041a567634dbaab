"""Roles of members and keys, service accounts, authors of items and runs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ADMIN = "3"
"""Each user was alone in an entity, and each key had all rights."""


def upgrade() -> None:
    op.add_column("users", sa.Column("is_service", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("memberships", sa.Column("role", sa.Integer(), nullable=False, server_default=_ADMIN))
    op.add_column("api_keys", sa.Column("role", sa.Integer(), nullable=False, server_default=_ADMIN))
    op.add_column("api_keys", sa.Column("last_used_at", sa.Float(), nullable=True))
    # Not Alembic's batches: to add a foreign key they would make the table anew, and dropping the old one would take
    # the warnings of its items along.
    for table in ("run_queue_items", "runs"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN author_id INTEGER REFERENCES users (id)")


def downgrade() -> None:
    for table in ("runs", "run_queue_items"):
        op.drop_column(table, "author_id")
    op.drop_column("api_keys", "last_used_at")
    op.drop_column("api_keys", "role")
    op.drop_column("memberships", "role")
    op.drop_column("users", "is_service")
