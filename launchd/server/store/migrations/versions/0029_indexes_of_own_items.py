"""Indexes for a person's newest item and for the items that became a run: both were looked for in the whole history."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_COLUMNS = {
    "run_queue_items_of_submitter": "submitter_id",
    "run_queue_items_of_author": "author_id",
    "run_queue_items_of_run_name": "run_name",
}


def upgrade() -> None:
    for name, column in _COLUMNS.items():
        op.create_index(name, "run_queue_items", [column, "number"])


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_index(name, "run_queue_items")
