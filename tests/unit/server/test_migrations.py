"""Migrations up and down, on each database: the tables they make, and the rows they keep."""

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from launchd.server.settings import ServerSettings
from launchd.server.store import migrate as migrations
from launchd.server.store.factory import migration_transaction
from launchd.server.store.migrate import NEWEST, current_version, run_migrations
from launchd.server.store.tables import metadata

pytestmark = pytest.mark.dialect

VERSIONS = sorted(
    revision.revision
    for revision in ScriptDirectory(str(Path(migrations.__file__).parent / "migrations")).walk_revisions()
)


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"render_as_batch": True})
    found: list[Any] = compare_metadata(context, metadata)
    return found


# As the first version knew them: every later one has to cope with these.
FIRST_ROWS = """
    INSERT INTO entities (id, name, is_team) VALUES (1, 'me', false);
    INSERT INTO users (id, name, email, admin, default_entity_id) VALUES (1, 'me', '', true, 1);
    INSERT INTO memberships (user_id, entity_id) VALUES (1, 1);
    INSERT INTO api_keys (id, user_id, digest, description, created_at) VALUES (1, 1, 'd', 'k', 1.5);
    INSERT INTO projects (id, entity_id, name, folded_name, created_at) VALUES (1, 1, 'P', 'p', 1.5);
    INSERT INTO resource_configs (id, entity_id, resource, config, template_variables)
        VALUES (1, 1, 'fake', '{}', '{}');
    INSERT INTO run_queues
        (id, project_id, name, created_by, access, prioritization_mode, resource_config_id, created_at)
        VALUES ('q', 1, 'queue', 'me', 'PROJECT', 'V0', 1, 1.5);
    INSERT INTO launch_agents
        (id, entity_id, name, hostname, status, stop_polling, created_at, heartbeat_at, next_queue)
        VALUES ('a', 1, 'agent', 'host', 'POLLING', false, 1.5, 1.5, 0);
    INSERT INTO launch_agent_queues (agent_id, place, queue_id) VALUES ('a', 0, 'q');
    INSERT INTO runs (id, project_id, name, state, stopped, created_at) VALUES (1, 1, 'r', 'running', false, 1.5);
    INSERT INTO run_queue_items
        (number, id, queue_id, state, priority, is_scheduler, run_spec, created_at, agent_id, run_id, stop_requested)
        VALUES (1, 'i', 'q', 'CLAIMED', 2, false, '{}', 1.5, 'a', 1, false);
    INSERT INTO item_warnings (id, item_number, message, stage, created_at) VALUES (1, 1, 'careful', 'run', 1.5);
    INSERT INTO artifact_collections (id, project_id, type, name) VALUES (1, 1, 'code', 'c');
    INSERT INTO artifacts (number, collection_id, client_id, state, digest, digest_algorithm, wanted_aliases, tags,
        version_index, size, file_count, created_at, updated_at)
        VALUES (1, 1, 'x', 'COMMITTED', 'd', 'MANIFEST_MD5', '[]', '[]', 0, 3, 1, 1.5, 1.5);
    INSERT INTO artifact_aliases (id, collection_id, alias, artifact_number) VALUES (1, 1, 'latest', 1);
    INSERT INTO artifact_files (id, artifact_number, kind, name, md5, size) VALUES (1, 1, 'file', 'a', 'm', 3);
"""
FIRST_TABLES = [line.split()[2] for line in FIRST_ROWS.splitlines() if "INSERT INTO" in line]


@pytest.fixture
def old(empty: ServerSettings) -> ServerSettings:
    """A database created and filled by the first version, now migrated."""
    with migration_transaction(empty) as connection:
        run_migrations(connection, "upgrade", "0001")
        for statement in FIRST_ROWS.split(";")[:-1]:
            connection.exec_driver_sql(statement)
    with migration_transaction(empty) as connection:
        run_migrations(connection, "upgrade", NEWEST)
    return empty


def rows(connection: Connection) -> list[dict[str, Any]]:
    """All rows in the tables of the first version, with today's columns."""
    return [
        {"its table": name, **row}
        for name in FIRST_TABLES
        for row in connection.execute(text(f"SELECT * FROM {name}")).mappings()
    ]


def have_survived(some: list[dict[str, Any]], all_of_them: list[dict[str, Any]]) -> bool:
    """Whether the rows agree in the columns of the first ones."""
    return [{name: other[name] for name in row} for row, other in zip(some, all_of_them, strict=True)] == some


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(settings: ServerSettings) -> None:
    with migration_transaction(settings) as connection:
        assert differences(connection) == []


def test_the_version_that_skips_alembic_is_the_newest() -> None:
    assert VERSIONS[-1] == NEWEST
    assert len(VERSIONS) == len(set(VERSIONS))


def test_rows_survive_every_step_back_and_forth(old: ServerSettings) -> None:
    with migration_transaction(old) as connection:
        before = rows(connection)
        assert [row["its table"] for row in before] == FIRST_TABLES
        for version, newer in reversed(list(pairwise(VERSIONS))):
            run_migrations(connection, "downgrade", version)
            assert current_version(connection) == version
            between = rows(connection)
            assert have_survived(between, before)
            run_migrations(connection, "upgrade", newer)
            assert have_survived(between, rows(connection))
            run_migrations(connection, "downgrade", version)
    with migration_transaction(old) as connection:
        run_migrations(connection, "upgrade", NEWEST)
        assert differences(connection) == []
        assert have_survived(between, rows(connection))


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
def test_rows_survive_the_way_to_each_version_and_back(old: ServerSettings, version: str) -> None:
    with migration_transaction(old) as connection:
        before = rows(connection)
        assert [row["its table"] for row in before] == FIRST_TABLES
        run_migrations(connection, "downgrade", version)
        assert current_version(connection) == version
        between = rows(connection)
    with migration_transaction(old) as connection:
        run_migrations(connection, "upgrade", NEWEST)
        assert differences(connection) == []
        assert have_survived(between, before)
        assert have_survived(between, rows(connection))


def test_users_from_before_roles_keep_their_rights(old: ServerSettings) -> None:
    with migration_transaction(old) as connection:
        assert [row["role"] for row in rows(connection) if "role" in row] == [3, 3]


PORTFOLIO_ROWS = """
    INSERT INTO artifact_collections (id, project_id, type, name, is_portfolio) VALUES (2, 1, 'code', 'p', true);
    INSERT INTO artifact_links (id, collection_id, artifact_number, version_index, linked_at) VALUES (1, 2, 1, 0, 1.5);
    INSERT INTO artifact_aliases (id, collection_id, alias, artifact_number) VALUES (2, 2, 'latest', 1);
"""


def test_a_server_that_knows_no_portfolios_finds_none(old: ServerSettings) -> None:
    with migration_transaction(old) as connection:
        before = rows(connection)
        for statement in PORTFOLIO_ROWS.split(";")[:-1]:
            connection.exec_driver_sql(statement)
        run_migrations(connection, "downgrade", "0011")
        assert have_survived(rows(connection), before)


def test_all_can_be_taken_away_and_made_anew(old: ServerSettings) -> None:
    with migration_transaction(old) as connection:
        run_migrations(connection, "downgrade", "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    with migration_transaction(old) as connection:
        run_migrations(connection, "upgrade", NEWEST)
        assert differences(connection) == []


SECRET = "5ec2e7" * 6
WITH_KEYS = f"""
    INSERT INTO users (id, name, email, admin, default_entity_id) VALUES (2, 'ada', '', false, 1);
    INSERT INTO api_keys (id, user_id, digest, description, created_at)
        VALUES (2, 2, '{hashlib.sha256(SECRET.encode()).hexdigest()}', 'k', 1.5);
    UPDATE run_queue_items SET run_spec = '{{"project":"p","n":1.5,"_wandb_api_key":"{SECRET}"}}';
"""


@pytest.fixture
def with_keys(empty: ServerSettings) -> ServerSettings:
    """A database of the first version with the key of a submitter, now migrated."""
    with migration_transaction(empty) as connection:
        run_migrations(connection, "upgrade", "0001")
        for statement in (FIRST_ROWS + WITH_KEYS).split(";")[:-1]:
            connection.exec_driver_sql(statement)
        run_migrations(connection, "upgrade", "0014")
        scheduler = json.dumps({"run_spec": json.dumps({"job": "j", "_wandb_api_key": SECRET})})
        connection.execute(
            text(
                "INSERT INTO sweeps (id, project_id, name, state, method, config, launched, scheduler, created_at,"
                " updated_at, grid_place) VALUES (1, 1, 's', 'RUNNING', 'grid', '{}', true, :scheduler, 1.5, 1.5, 0)"
            ),
            {"scheduler": scheduler},
        )
    with migration_transaction(empty) as connection:
        run_migrations(connection, "upgrade", NEWEST)
    return empty


def test_keys_of_submitters_are_removed_and_their_owners_known(with_keys: ServerSettings) -> None:
    with migration_transaction(with_keys) as connection:
        item = connection.execute(text("SELECT run_spec, submitter_id FROM run_queue_items")).one()
        assert (json.loads(item.run_spec), item.submitter_id) == ({"project": "p", "n": 1.5}, 2)
        sweep = connection.execute(text("SELECT scheduler FROM sweeps")).scalar_one()
        assert json.loads(json.loads(sweep)["run_spec"]) == {"job": "j"}
    if with_keys.database is None:
        assert SECRET.encode() not in with_keys.database_path.read_bytes()


def test_what_was_removed_does_not_come_back(with_keys: ServerSettings) -> None:
    with migration_transaction(with_keys) as connection, pytest.raises(RuntimeError, match="from 2 run specs"):
        run_migrations(connection, "downgrade", "0015")
