"""Users, teams, keys and projects."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, false

from launchd.server.store.tables.base import metadata

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("email", String, nullable=False),
    Column("admin", Boolean, nullable=False),
    # A service account belongs to the one team that is its default entity.
    Column("is_service", Boolean, nullable=False),
    Column("default_entity_id", ForeignKey("entities.id"), nullable=False),
    # Whether the user ever had a key, and ever used one: what an administrator may do depends on it.
    Column("had_key", Boolean, nullable=False, server_default=false()),
    Column("used_key", Boolean, nullable=False, server_default=false()),
    Column("deleted_at", Float),
)

entities = Table(
    "entities",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("is_team", Boolean, nullable=False),
    Column("deleted_at", Float),
)

memberships = Table(
    "memberships",
    metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("entity_id", ForeignKey("entities.id"), primary_key=True),
    # A value of models.Role, so that "at least" is a comparison.
    Column("role", Integer, nullable=False),
)

account_events = Table(
    "account_events",
    metadata,
    Column("id", Integer, primary_key=True),
    # Whose keys are meant, and who did it.
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("actor_id", ForeignKey("users.id"), nullable=False),
    Column("happened_at", Float, nullable=False),
    Column("sentence", Text, nullable=False),
    Index("account_events_of_user", "user_id", "id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("digest", String, nullable=False, unique=True),
    Column("description", String, nullable=False),
    # A value of models.KeyRole.
    Column("role", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float),
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
