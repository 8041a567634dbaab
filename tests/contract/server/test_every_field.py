"""Every root field of the schema, called by those who may not: nothing is shown to them, nothing changes.

A field that is new needs a row in `tests/support/reaching.py`: the arguments with which it reaches an object of a
`World`. The rest follows from it: the field is called with them by their owner (it must work), by a stranger, with each
of them in turn mixed into the stranger's own, by an administrator of the server, and by a member of the team who may
only look.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
    is_required_argument,
)

from tests.support.people import People
from tests.support.people import people as make_people
from tests.support.reaching import FIELDS, ROWS, SCHEMA, SHOWN
from tests.support.server import Api, RunningServer, running_server
from tests.support.world import World, call

# It compares all rows of the database before and after, and reads them from the file.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

LOOKS_AT_THE_SERVER = {"Query.serverInfo"}
"""Fields that show nobody's objects."""
ADMINISTRATORS = {"Mutation.createUser", "Mutation.createTeam"}
"""Fields for administrators of the server alone; what they make belongs to nobody yet."""
MANAGE_PEOPLE = {
    "Query.users",
    "Mutation.generateApiKey",
    "Mutation.deleteApiKey",
    "Mutation.createInvite",
    "Mutation.deleteInvite",
    "Mutation.createServiceAccount",
}
"""Fields that an administrator may use on the people of any team."""
KEEP_NOTHING = {"Mutation.createArtifactType"}
"""Mutations that have nothing to write: a type of artifacts is there when a collection has it."""
IN_PASSING = {"last_used_at"}
"""Columns that every request may change."""
NEED_NO_ENTITY = {"Query.viewer", "Query.users", "Mutation.generateApiKey", "Mutation.deleteApiKey"}
"""Fields about the caller, to whom roles in a team do not matter."""

TRIED = [field for field in FIELDS if field in ROWS]


# What a call may change: rows of the database, as another process sees them.

Rows = dict[tuple[str, object], tuple[object, ...]]


@dataclass(frozen=True)
class Snapshot:
    rows: Rows
    references: dict[str, list[tuple[int, str]]]
    """Per table the places of columns that refer to another one, which they name."""

    @classmethod
    def of(cls, database: Path) -> "Snapshot":
        with closing(sqlite3.connect(database)) as connection:
            wanted = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            tables = [name for (name,) in connection.execute(wanted)]
            rows: Rows = {}
            references = {}
            for table in tables:
                described = connection.execute(f"PRAGMA table_info({table})").fetchall()
                columns = [column[1] for column in described]
                key = [place for place, column in enumerate(described) if column[5]]
                foreign = connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()
                references[table] = [(columns.index(named[3]), named[2]) for named in foreign]
                kept = ", ".join("NULL" if column in IN_PASSING else column for column in columns)
                for row in connection.execute(f"SELECT {kept} FROM {table}"):
                    rows[table, tuple(row[place] for place in key)] = row
            return cls(rows, references)

    def changes_of(self, theirs: Rows, before: "Snapshot") -> list[str]:
        """What was done to `theirs`: rows of them that changed or went, and new rows that refer to them."""
        harmed = [f"{table} {key}" for (table, key), row in theirs.items() if self.rows.get((table, key)) != row]
        keys = {(table, row[0]) for (table, _), row in theirs.items() if row}
        for (table, key), row in self.rows.items():
            if (table, key) in before.rows:
                continue
            harmed += [
                f"a new row of {table} refers to {other} {row[place]}"
                for place, other in self.references[table]
                if (other, row[place]) in keys
            ]
        return harmed


@dataclass(frozen=True)
class Scene:
    """A team, everything it has, and the rows of that."""

    server: RunningServer
    people: People
    victim: World
    theirs: Rows
    looking: Api
    """A member of the team who may only look."""

    def snapshot(self) -> Snapshot:
        return Snapshot.of(self.server.data_dir / "server.sqlite")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with (
        running_server(tmp_path_factory.mktemp("server"), "--lease-seconds", "3600") as server,
        make_people(server) as people,
    ):
        before = Snapshot.of(server.data_dir / "server.sqlite").rows
        victim = World(people)
        victim.build()
        _, looking = people.member(victim.entity, "VIEWER")
        after = Snapshot.of(server.data_dir / "server.sqlite").rows
        theirs = {key: row for key, row in after.items() if key not in before}
        yield Scene(server, people, victim, theirs, looking)


def selection(kind: GraphQLNamedType, depth: int = 4, above: frozenset[str] = frozenset()) -> str:
    """Everything that can be asked for without arguments, each type once on the way down."""
    if isinstance(kind, GraphQLUnionType):
        return "{ __typename }"
    if not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        return ""
    parts = ["__typename"]
    for name, field in kind.fields.items():
        below = get_named_type(field.type)
        if any(is_required_argument(argument) for argument in field.args.values()) or below.name in above:
            continue
        if not is_composite_type(below):
            parts.append(name)
        elif depth > 1:
            parts.append(f"{name} {selection(below, depth - 1, above | {kind.name})}")
    return f"{{ {' '.join(parts)} }}"


def ask(api: Api, field: str, arguments: dict[str, Any]) -> str:
    kind, _, name = field.partition(".")
    found = (SCHEMA.query_type if kind == "Query" else SCHEMA.mutation_type).fields[name]  # type: ignore[union-attr]
    types = {argument: str(told.type) for argument, told in found.args.items()}
    return call(api, kind.lower(), name, arguments, types, selection(get_named_type(found.type)))


def mixtures(own: Any, theirs: Any) -> Iterator[Any]:
    """`own`, with one leaf of it in turn taken from `theirs`."""
    if isinstance(own, Mapping):
        for key in own:
            for mixed in mixtures(own[key], theirs[key]):
                yield {**own, key: mixed}
    elif isinstance(own, list):
        for place, _ in enumerate(own):
            for mixed in mixtures(own[place], theirs[place]):
                yield [*own[:place], mixed, *own[place + 1 :]]
    elif own != theirs:
        yield theirs


def check(scene: Scene, api: Api, field: str, arguments: dict[str, Any], *, may_look: bool = False) -> None:
    before = scene.snapshot()
    answer = ask(api, field, arguments)
    assert scene.snapshot().changes_of(scene.theirs, before) == [], f"{field} {arguments}: {answer}"
    assert may_look or told_of(scene.victim, field, answer) == [], f"{field} {arguments} shows too much: {answer}"


def told_of(world: World, field: str, answer: str) -> list[str]:
    """What an answer says of a world that nobody else may hear."""
    secrets = [world.hidden, *(show(world) for name, show in SHOWN.items() if name == field)]
    return [secret for secret in secrets if secret in answer]


@pytest.mark.parametrize("field", TRIED)
def test_a_stranger_sees_and_changes_nothing(scene: Scene, field: str) -> None:
    stranger = World(scene.people)
    stranger.api.send_header("Use-Admin-Privileges", "true")
    stranger.api.send_header("X-WANDB-USERNAME", scene.victim.owner)
    theirs = ROWS[field](scene.victim)
    own = ROWS[field](stranger)
    check(scene, stranger.api, field, theirs)
    for mixed in mixtures(own, theirs):
        check(scene, stranger.api, field, mixed)


@pytest.mark.parametrize("field", [field for field in TRIED if field not in MANAGE_PEOPLE | ADMINISTRATORS])
def test_an_administrator_sees_and_changes_nothing(scene: Scene, field: str) -> None:
    check(scene, scene.people.admin, field, ROWS[field](scene.victim))


@pytest.mark.parametrize("field", [field for field in TRIED if field not in NEED_NO_ENTITY])
def test_a_member_who_may_only_look_changes_nothing(scene: Scene, field: str) -> None:
    check(scene, scene.looking, field, ROWS[field](scene.victim), may_look=True)


@pytest.mark.parametrize("field", [field for field in TRIED if field not in LOOKS_AT_THE_SERVER])
def test_the_owner_sees_or_changes_it(scene: Scene, field: str) -> None:
    """Or the tests above would prove nothing: their arguments would reach nothing."""
    world = World(scene.people)
    arguments = ROWS[field](world)
    before = scene.snapshot()
    answer = ask(world.admin if field in ADMINISTRATORS else world.api, field, arguments)
    if field.startswith("Query."):
        assert told_of(world, field, answer), f"{field} {arguments} shows nothing of its owner's: {answer}"
    elif field not in KEEP_NOTHING:
        assert scene.snapshot().rows != before.rows, f"{field} {arguments} changes nothing of its owner's: {answer}"


@pytest.mark.parametrize("key", ["", "x" * 40, "api", "\u00fc" * 20])
def test_nobody_gets_anything_without_a_key(scene: Scene, key: str) -> None:
    with Api(scene.server.url, key) as api:
        for field in TRIED:
            kind, _, name = field.partition(".")
            response = api.post({"query": f"{kind.lower()} {{ {name} {{ __typename }} }}"})
            assert (response.status_code, "data" in response.json()) == (401, False)
