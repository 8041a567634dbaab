"""What is asked again and again reads no history: the databases' own plans of the statements that the store makes."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event

from launchd.server.models import Role, Viewer
from launchd.server.settings import ServerSettings
from launchd.server.store.factory import migration_transaction
from launchd.server.store.launch import agents, items, lookup, queues
from launchd.server.store.launch.census import take_census
from launchd.server.store.runs import retention

sqlite_only = pytest.mark.parametrize("empty", ["sqlite"], indirect=True)

VIEWER = Viewer(
    user_id=1,
    name="me",
    email="",
    admin=False,
    is_service=False,
    entity="me",
    key_role=Role.ADMIN,
    author_id=1,
    author="me",
)

#: Indexes of the items that are not over.
OF_OPEN_ITEMS = {
    "run_queue_items_waiting",
    "run_queue_items_by_demand",
    "run_queue_items_leased",
    "run_queue_items_held",
}


class Plans:
    """A connection, and each step of the plans of what was executed on it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.steps: list[str] = []
        event.listen(connection, "before_cursor_execute", self._note)

    def _note(self, connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        cursor = connection.connection.cursor()
        if connection.dialect.name == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            self.steps += [row[3] for row in cursor.fetchall()]
        else:
            # Of an empty table all would be read.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {statement}", parameters)
            self.steps += [row[0].strip(" ->") for row in cursor.fetchall()]

    def of(self, table: str) -> list[str]:
        """Return the steps that read rows of a table."""
        return [step for step in self.steps if step.startswith((f"SCAN {table}", f"SEARCH {table}"))]

    def indexes(self) -> set[str]:
        """Return the indexes of items by which items are found."""
        return {word for step in self.steps for word in step.split() if word.startswith("run_queue_items_")}


@pytest.fixture
def plans(settings: ServerSettings) -> Iterator[Plans]:
    with migration_transaction(settings) as connection:
        yield Plans(connection)


@sqlite_only
def test_items_are_counted_by_indexes_of_those_that_are_not_over(plans: Plans) -> None:
    assert (queues.count_waiting(plans.connection, "q"), queues.count_held(plans.connection, "q")) == (0, 0)
    assert take_census(plans.connection, 60.0).items == {}
    steps = plans.of("run_queue_items")
    assert len(steps) == 4
    assert [step for step in steps if not OF_OPEN_ITEMS & set(step.split())] == []


@sqlite_only
def test_a_removal_of_runs_looks_at_no_item_that_is_over_but_the_runs_own(plans: Plans) -> None:
    """It is asked for each batch that goes, while nothing else can be written."""
    assert retention.ended_runs(plans.connection, 1) == []
    steps = [step for step in plans.of("run_queue_items") if "run_queue_items_of_run" not in step]
    assert len(steps) == 2
    assert [step for step in steps if not OF_OPEN_ITEMS & set(step.split())] == []


@sqlite_only
def test_a_heartbeat_looks_for_agents_before_on_its_own_machine(plans: Plans) -> None:
    assert agents.predecessors(plans.connection, VIEWER, "a", 60.0) == []
    assert plans.of("earlier") == ["SEARCH earlier USING INDEX launch_agents_of_machine (machine_id=?)"]


@pytest.mark.dialect
def test_the_newest_item_of_a_person_is_found_without_the_others(plans: Plans) -> None:
    assert lookup.find(plans.connection, VIEWER, lookup.LAST) == []
    assert plans.indexes() == {"run_queue_items_of_submitter", "run_queue_items_of_author"}
    assert [step for step in plans.steps if "ORDER BY" in step or step.startswith("Sort")] == []


@pytest.mark.dialect
def test_the_items_of_a_run_are_found_without_the_others(plans: Plans) -> None:
    assert items.item_to_put_back(plans.connection, VIEWER, "q", "run") is None
    assert plans.indexes() == {"run_queue_items_of_run_name"}
    plans.steps.clear()
    assert lookup.find(plans.connection, VIEWER, "r1x") == []
    assert "run_queue_items_of_run_name" in plans.indexes()
