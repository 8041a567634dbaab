"""Numbers of leases, incarnations of agents, and heartbeats by a clock that is not the wall clock."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_ALIVE = sa.text("state IN ('running', 'preempting')")


def upgrade() -> None:
    op.create_table(
        "server_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("lease_number", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("boot_id", sa.String(), nullable=True),
        sa.Column("claims_paused_until", sa.Float(), nullable=True),
        sa.Column("restored_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute("INSERT INTO server_state (id, lease_number, epoch) VALUES (1, 0, 1)")
    op.add_column("run_queue_items", sa.Column("lease_number", sa.BigInteger(), nullable=False, server_default="0"))
    for column in (
        sa.Column("incarnation", sa.String(), nullable=True),
        sa.Column("incarnation_since", sa.Float(), nullable=True),
        sa.Column("machine_id", sa.String(), nullable=True),
        sa.Column("heard_at", sa.Float(), nullable=False, server_default="0"),
        sa.Column("awaited", sa.Boolean(), nullable=False, server_default=sa.false()),
    ):
        op.add_column("launch_agents", column)
    op.add_column("runs", sa.Column("heard_at", sa.Float(), nullable=True))
    # With SQLite the first start renews them, because they are no times of the clock that counts from now on.
    op.execute("UPDATE launch_agents SET heard_at = heartbeat_at")
    op.execute("UPDATE runs SET heard_at = heartbeat_at")
    _index_runs("heard_at")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE run_queue_leases")
        op.alter_column("run_queue_items", "report_sequence", type_=sa.BigInteger())


def downgrade() -> None:
    """Where a report had a number above 32 bits, an older server takes the next one as the first."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("UPDATE run_queue_items SET report_sequence = NULL WHERE report_sequence > 2147483647")
        op.alter_column("run_queue_items", "report_sequence", type_=sa.Integer())
        op.execute("DROP SEQUENCE run_queue_leases")
    _index_runs("heartbeat_at")
    op.drop_column("runs", "heard_at")
    for column in ("awaited", "heard_at", "machine_id", "incarnation_since", "incarnation"):
        op.drop_column("launch_agents", column)
    op.drop_column("run_queue_items", "lease_number")
    op.drop_table("server_state")


def _index_runs(column: str) -> None:
    op.drop_index("runs_alive", table_name="runs")
    op.create_index("runs_alive", "runs", [column], sqlite_where=_ALIVE, postgresql_where=_ALIVE)
