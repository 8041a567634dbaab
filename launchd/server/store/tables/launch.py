"""Queues, their items and launch agents."""

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, false, text

from launchd.server.store.tables.base import Count, metadata

# Conditions of partial indexes.
_EXISTS = text("deleted_at IS NULL")
_HAS_KEY = text("push_key IS NOT NULL")
_WAITING, _LEASED = text("state = 'PENDING'"), text("state = 'LEASED'")
# Not IN: SQLite finds the index only where a statement has the same condition, or one side of the OR.
_HELD = text("state = 'LEASED' OR state = 'CLAIMED'")
_PASSED = text("state = 'PENDING' AND passed_at IS NOT NULL")

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
    # Whether jobs may push to it with their own keys.
    Column("jobs_may_push", Boolean, nullable=False, server_default=false()),
    # Since when it gives out nothing, by the wall clock, and who had it so; null: it gives out.
    Column("paused_at", Float),
    Column("paused_by", String),
    Column("created_at", Float, nullable=False),
    # A deleted queue is hidden from clients but kept, because its running items still report.
    Column("deleted_at", Float),
    Index(
        "run_queues_by_name",
        "project_id",
        "name",
        unique=True,
        sqlite_where=_EXISTS,
        postgresql_where=_EXISTS,
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
    # Who asked it to leave.
    Column("stop_polling_by", String),
    # Whose key registered it; null: registered before there was this column.
    Column("owner_id", ForeignKey("users.id")),
    Column("config", Text),
    Column("version", String),
    Column("created_at", Float, nullable=False),
    # By the wall clock, for people; `heard_at` is the same by the store's clock.
    Column("heartbeat_at", Float, nullable=False),
    Column("heard_at", Float, nullable=False, server_default="0"),
    # The process that is the agent, since when, and its machine; null where the agent does not say.
    Column("incarnation", String),
    Column("incarnation_since", Float),
    Column("machine_id", String),
    # A pause of claims lasts until it has come back.
    Column("awaited", Boolean, nullable=False, server_default=false()),
    # Place of the queue that the next claim asks first.
    Column("next_queue", Integer, nullable=False),
    # Its GPUs as it last told them (`ipc.gpus.GpuSummary`), and the agent's number of that; null: it does not say.
    Column("gpus", Text),
    Column("gpus_version", BigInteger, nullable=False, server_default="0"),
    # Each heartbeat asks for the agents before on the same machine.
    Index("launch_agents_of_machine", "machine_id"),
)

launch_agent_queues = Table(
    "launch_agent_queues",
    metadata,
    Column("agent_id", ForeignKey("launch_agents.id"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("queue_id", ForeignKey("run_queues.id"), nullable=False),
    Index("launch_agent_queues_of_queue", "queue_id"),
)

run_queue_items = Table(
    "run_queue_items",
    metadata,
    # Increases with every push: the order within a priority, also after a lease was returned.
    Column("number", Count, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("queue_id", ForeignKey("run_queues.id"), nullable=False),
    Column("state", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("is_scheduler", Boolean, nullable=False),
    Column("author_id", ForeignKey("users.id")),
    # Who pushed it, as whom its job reads: a service account may name another author. Null: not known.
    Column("submitter_id", ForeignKey("users.id")),
    Column("run_spec", Text, nullable=False),
    # The GPUs that it asks for (`launch.demands`); empty: none, or pushed before there was this column.
    Column("demand", String, nullable=False, server_default=""),
    # By the store's clock: since when later items have been given GPUs that it waits for; null: none has.
    Column("passed_at", Float),
    # The idempotency key, and the queue that it was for: the same key there again is the same push.
    Column("push_key", String),
    Column("pushed_to", ForeignKey("run_queues.id")),
    Column("created_at", Float, nullable=False),
    Column("agent_id", ForeignKey("launch_agents.id")),
    Column("claim_id", String),
    # Of its last lease, also after its end; 0: never leased, or by a server without numbers.
    Column("lease_number", BigInteger, nullable=False, server_default="0"),
    # By the wall clock, for people.
    Column("leased_at", Float),
    # By the store's clock.
    Column("lease_ends_at", Float),
    Column("run_name", String),
    Column("run_id", ForeignKey("runs.id")),
    # Acknowledged by W&B's agent, which never reports an end: the item ends with its run.
    Column("follows_run", Boolean, nullable=False, server_default=false()),
    Column("report_sequence", Count),
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
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    ),
    # The first item of each demand, at once, however many wait.
    Index(
        "run_queue_items_by_demand",
        "queue_id",
        "is_scheduler",
        "demand",
        "priority",
        "number",
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    ),
    Index(
        "run_queue_items_passed",
        "queue_id",
        "demand",
        "passed_at",
        sqlite_where=_PASSED,
        postgresql_where=_PASSED,
    ),
    Index(
        "run_queue_items_leased",
        "lease_ends_at",
        sqlite_where=_LEASED,
        postgresql_where=_LEASED,
    ),
    # How many items each queue has in the hands of agents, without a look at what has ended.
    Index(
        "run_queue_items_held",
        "queue_id",
        "state",
        sqlite_where=_HELD,
        postgresql_where=_HELD,
    ),
    Index(
        "run_queue_items_by_key",
        "pushed_to",
        "push_key",
        unique=True,
        sqlite_where=_HAS_KEY,
        postgresql_where=_HAS_KEY,
    ),
    Index("run_queue_items_of_agent", "agent_id", "state"),
    Index("run_queue_items_of_queue", "queue_id", "number"),
    Index("run_queue_items_of_run", "run_id"),
    # The newest item of a person, and the items that became a run of this name.
    Index("run_queue_items_of_submitter", "submitter_id", "number"),
    Index("run_queue_items_of_author", "author_id", "number"),
    Index("run_queue_items_of_run_name", "run_name", "number"),
    sqlite_autoincrement=True,
)

output_wishes = Table(
    "output_wishes",
    metadata,
    Column(
        "item_number",
        Count,
        ForeignKey("run_queue_items.number", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    # By the store's clock.
    Column("wanted_until", Float, nullable=False),
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
