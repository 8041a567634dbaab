"""Tables of the store, as SQLAlchemy Core knows them. Times are seconds since 1970 (UTC); JSON is text."""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("email", String, nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("default_entity_id", ForeignKey("entities.id"), nullable=False),
)

entities = Table(
    "entities",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("is_team", Boolean, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("entity_id", ForeignKey("entities.id"), primary_key=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("digest", String, nullable=False, unique=True),
    Column("description", String, nullable=False),
    Column("created_at", Float, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("entity_id", ForeignKey("entities.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("folded_name", String, nullable=False),
    Column("description", Text),
    Column("access", String),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("entity_id", "folded_name"),
)

resource_configs = Table(
    "resource_configs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("entity_id", ForeignKey("entities.id"), nullable=False),
    Column("resource", String, nullable=False),
    Column("config", Text, nullable=False),
    Column("template_variables", Text, nullable=False),
)

run_queues = Table(
    "run_queues",
    metadata,
    Column("id", String, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("created_by", String, nullable=False),
    Column("access", String, nullable=False),
    Column("prioritization_mode", String, nullable=False),
    Column("resource_config_id", ForeignKey("resource_configs.id")),
    Column("external_links", Text),
    Column("created_at", Float, nullable=False),
    # A deleted queue stays, nameless to clients, while its running items report.
    Column("deleted_at", Float),
    Index(
        "run_queues_by_name",
        "project_id",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
    ),
)

launch_agents = Table(
    "launch_agents",
    metadata,
    Column("id", String, primary_key=True),
    Column("entity_id", ForeignKey("entities.id"), nullable=False),
    Column("name", String, nullable=False, unique=True),
    Column("hostname", String, nullable=False),
    Column("status", String, nullable=False),
    Column("stop_polling", Boolean, nullable=False),
    Column("config", Text),
    Column("version", String),
    Column("created_at", Float, nullable=False),
    Column("heartbeat_at", Float, nullable=False),
    # Place of the queue that is asked first by the next claim.
    Column("next_queue", Integer, nullable=False),
)

launch_agent_queues = Table(
    "launch_agent_queues",
    metadata,
    Column("agent_id", ForeignKey("launch_agents.id"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("queue_id", ForeignKey("run_queues.id"), nullable=False),
)

run_queue_items = Table(
    "run_queue_items",
    metadata,
    # Counts up with every push: the order within a priority, also after a lease came back.
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("queue_id", ForeignKey("run_queues.id"), nullable=False),
    Column("state", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("is_scheduler", Boolean, nullable=False),
    Column("run_spec", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("agent_id", ForeignKey("launch_agents.id")),
    Column("claim_id", String),
    Column("leased_at", Float),
    Column("lease_ends_at", Float),
    Column("run_name", String),
    Column("run_id", ForeignKey("runs.id")),
    Column("report_sequence", Integer),
    Column("status", String),
    Column("phase", String),
    Column("message", Text),
    Column("stage", String),
    Column("exit_code", Integer),
    Column("file_paths", Text),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("stop_requested", Boolean, nullable=False),
    Column("stop_reason", Text),
    Index(
        "run_queue_items_waiting",
        "queue_id",
        "is_scheduler",
        "priority",
        "number",
        sqlite_where=text("state = 'PENDING'"),
    ),
    Index(
        "run_queue_items_leased",
        "lease_ends_at",
        sqlite_where=text("state = 'LEASED'"),
    ),
    Index("run_queue_items_of_agent", "agent_id", "state"),
    Index("run_queue_items_of_queue", "queue_id", "number"),
    Index("run_queue_items_of_run", "run_id"),
    sqlite_autoincrement=True,
)

item_warnings = Table(
    "item_warnings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("item_number", ForeignKey("run_queue_items.number", ondelete="CASCADE"), nullable=False, index=True),
    Column("message", Text, nullable=False),
    Column("stage", String, nullable=False),
    Column("file_paths", Text),
    Column("created_at", Float, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("display_name", String),
    Column("state", String, nullable=False),
    Column("stopped", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("project_id", "name"),
)

artifact_collections = Table(
    "artifact_collections",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("type", String, nullable=False),
    Column("name", String, nullable=False),
    UniqueConstraint("project_id", "name"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("collection_id", ForeignKey("artifact_collections.id"), nullable=False),
    Column("client_id", String),
    Column("state", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("digest_algorithm", String, nullable=False),
    Column("description", Text),
    Column("metadata", Text),
    Column("wanted_aliases", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("version_index", Integer),
    Column("size", Integer, nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("collection_id", "client_id"),
    Index("artifacts_by_digest", "collection_id", "digest"),
    sqlite_autoincrement=True,
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
    # 'file', or 'manifest' (one per artifact).
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    # base64, as W&B's manifests have it; empty for a manifest that is only announced.
    Column("md5", String, nullable=False, index=True),
    Column("mimetype", String),
    # SHA-256 of the content in hex, null until it is here.
    Column("content", String),
    Column("size", Integer),
    UniqueConstraint("artifact_number", "kind", "name"),
    sqlite_autoincrement=True,
)
