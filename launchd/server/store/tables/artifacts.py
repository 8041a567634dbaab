"""Artifacts, their collections and files."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from launchd.server.store.tables.base import Count, metadata

_OPEN = "state = 'PENDING' AND distributed_id IS NOT NULL"

artifact_collections = Table(
    "artifact_collections",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("type", String, nullable=False),
    Column("name", String, nullable=False),
    Column("description", Text),
    # JSON list of strings.
    Column("tags", Text, nullable=False, server_default="[]"),
    # Null for collections older than these columns.
    Column("created_at", Float),
    Column("updated_at", Float),
    # Whether versions of other collections are linked to it; then none is logged to it.
    Column("is_portfolio", Boolean, nullable=False, server_default=false()),
    # How many links were ever made: the number of the next one.
    Column("links_made", Integer, nullable=False, server_default="0"),
    UniqueConstraint("project_id", "name"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("collection_id", ForeignKey("artifact_collections.id"), nullable=False),
    Column("client_id", String),
    # Shared by the processes that log it together; null for all others.
    Column("distributed_id", String),
    # The user who logged it; null for what is older than this column.
    Column("maker_id", Integer),
    Column("state", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("digest_algorithm", String, nullable=False),
    Column("description", Text),
    Column("metadata", Text),
    Column("wanted_aliases", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("version_index", Integer),
    Column("size", Count, nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("history_step", BigInteger),
    # Seconds after its creation at which a version is deleted; null: never.
    Column("ttl_seconds", BigInteger),
    UniqueConstraint("collection_id", "client_id"),
    Index("artifacts_by_digest", "collection_id", "digest"),
    # One at a time is open under an id.
    Index(
        "artifacts_distributed",
        "collection_id",
        "distributed_id",
        unique=True,
        sqlite_where=text(_OPEN),
        postgresql_where=text(_OPEN),
    ),
    sqlite_autoincrement=True,
)

artifact_links = Table(
    "artifact_links",
    metadata,
    Column("id", Integer, primary_key=True),
    # The portfolio.
    Column("collection_id", ForeignKey("artifact_collections.id"), nullable=False),
    Column("artifact_number", ForeignKey("artifacts.number"), nullable=False, index=True),
    # The version's number in the portfolio.
    Column("version_index", Integer, nullable=False),
    Column("linked_at", Float, nullable=False),
    UniqueConstraint("collection_id", "artifact_number"),
    UniqueConstraint("collection_id", "version_index"),
)

artifact_aliases = Table(
    "artifact_aliases",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("collection_id", ForeignKey("artifact_collections.id"), nullable=False),
    Column("alias", String, nullable=False),
    Column("artifact_number", ForeignKey("artifacts.number"), nullable=False, index=True),
    UniqueConstraint("collection_id", "alias"),
)

artifact_files = Table(
    "artifact_files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("artifact_number", ForeignKey("artifacts.number"), nullable=False),
    # 'file', 'reference', 'manifest' (one per artifact), or, before the commit, 'partial': a manifest of a part of it.
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    # base64, as in W&B's manifests; empty for a manifest that is only announced. For a reference any text.
    Column("md5", String, nullable=False, index=True),
    Column("mimetype", String),
    # SHA-256 of the content in hex, null until it is here.
    Column("content", String, index=True),
    Column("size", Count),
    # The user who uploaded the content; null while it is missing, and for what is older than this column.
    Column("uploader_id", Integer),
    # Address of a reference; of a partial manifest the id of the version that it adds to; null for all others.
    Column("reference", Text),
    UniqueConstraint("artifact_number", "kind", "name"),
    sqlite_autoincrement=True,
)

artifact_parts = Table(
    "artifact_parts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("file_id", ForeignKey("artifact_files.id", ondelete="CASCADE"), nullable=False),
    # Counts from 1.
    Column("number", Integer, nullable=False),
    # base64
    Column("md5", String, nullable=False),
    # SHA-256 of the content in hex, null until it is here.
    Column("content", String, index=True),
    Column("size", BigInteger),
    UniqueConstraint("file_id", "number"),
    sqlite_autoincrement=True,
)

artifact_runs = Table(
    "artifact_runs",
    metadata,
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("artifact_number", ForeignKey("artifacts.number", ondelete="CASCADE"), primary_key=True, index=True),
    # 'output': the run logged the version; 'input': it used it.
    Column("relation", String, primary_key=True),
    Column("noted_at", Float, nullable=False),
)
