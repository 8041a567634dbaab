"""What the servers of one database know together."""

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table

from launchd.server.store.tables.base import metadata

server_state = Table(
    "server_state",
    metadata,
    # One row.
    Column("id", Integer, primary_key=True),
    # The version of launchd that gave the database its tables: the oldest that can read them.
    Column("laid_out_by", String),
    # The last number given to a lease. In PostgreSQL a sequence counts, so that claims need not wait for each other.
    Column("lease_number", BigInteger, nullable=False),
    # How often the database was found to be older than what its agents know.
    Column("epoch", Integer, nullable=False),
    # With SQLite: the boot of the machine to whose clock leases and heartbeats refer.
    Column("boot_id", String),
    # By the store's clock; null: not since the last start.
    Column("claims_paused_until", Float),
    Column("restored_at", Float),
    # From how many run specs the keys of submitters were removed, which no downgrade can undo.
    Column("blanked_keys", Integer, nullable=False, server_default="0"),
)
