"""Every root field of the schema, called by those who may not: nothing is shown to them, nothing changes.

A field that is new needs a row in `ROWS`: the arguments with which the field reaches an object of a `World`. The rest
follows from it: the field is called with them by their owner (it must work), by a stranger, with each of them in turn
mixed into the stranger's own, by an administrator of the server, and by a member of the team who may only look.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
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

from launchd.server.gql.schema import build_schema
from tests.support.people import People
from tests.support.people import people as make_people
from tests.support.server import Api, RunningServer, fresh_name, running_server
from tests.support.world import QUEUE_PROJECT, World, call

# It compares all rows of the database before and after, and reads them from the file.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

SCHEMA = build_schema()
LOOKS_AT_THE_SERVER = {"Query.serverInfo"}
"""Fields that show nobody's objects."""
REFUSED = {"Mutation.completeMultipartUploadArtifact"}
"""Fields that nobody can use; they are there to say why."""
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
NEED_NO_ENTITY = {"Query.viewer", "Query.users", "Mutation.generateApiKey", "Mutation.deleteApiKey"}
"""Fields about the caller, to whom roles in a team do not matter."""

Arguments = Callable[[World], dict[str, Any]]


def given(**values: Callable[[World], Any] | Any) -> Arguments:
    """Arguments of a mutation, all in `input`; a function gets the world."""
    return lambda world: {"input": {name: value(world) if callable(value) else value for name, value in values.items()}}


def entity(world: World) -> str:
    return world.entity


def in_queue(world: World) -> dict[str, Any]:
    return {
        "entityName": world.entity,
        "projectName": QUEUE_PROJECT,
        "queueName": world.queue if world.queue_id else "",
    }


def in_collection(world: World, **more: Any) -> dict[str, Any]:
    names = {"entityName": world.entity, "projectName": world.project, "artifactCollectionName": world.collection}
    return names | more


ROWS: dict[str, Arguments] = {
    # accounts
    "Query.viewer": lambda _: {},
    "Query.users": lambda world: {"query": world.owner},
    "Query.serverInfo": lambda _: {},
    "Query.entity": lambda world: {"name": world.entity},
    "Query.project": lambda world: {"name": world.project, "entityName": world.entity},
    "Query.models": lambda world: {"entityName": world.entity if world.project else ""},
    "Mutation.upsertModel": lambda world: {"input": {"entityName": world.entity, "name": fresh_name("project")}},
    "Mutation.createUser": lambda world: {"input": {"email": f"{fresh_name('new')}@{world.entity}"}},
    "Mutation.generateApiKey": given(username=lambda world: world.owner),
    "Mutation.deleteApiKey": given(id=lambda world: world.key_id),
    "Mutation.createTeam": lambda world: {"input": {"teamName": fresh_name("new"), "teamAdminUserName": world.owner}},
    # An admin may take anybody into their team whose name they know.
    "Mutation.createInvite": given(entityName=entity, username="me"),
    "Mutation.deleteInvite": given(entityName=entity, id=lambda world: world.service_account_id),
    "Mutation.createServiceAccount": lambda world: {
        "input": {"entityName": world.entity, "description": "robot", "username": fresh_name("robot")}
    },
    # launch
    "Query.launchAgent": lambda world: {"id": world.agent},
    "Query.launchAgents": lambda world: {"entityName": world.entity if world.agent else ""},
    "Query.launchRunQueueItem": lambda world: {"id": world.item},
    "Mutation.createDefaultResourceConfig": given(entityName=entity, resource="local-process", config="{}"),
    "Mutation.createRunQueue": lambda world: {
        "input": in_queue(world)
        | {"queueName": fresh_name("new"), "access": "PROJECT", "defaultResourceConfigID": world.config_id}
    },
    "Mutation.upsertRunQueue": lambda world: {
        "input": in_queue(world) | {"resourceType": "local-container", "resourceConfig": "{}"}
    },
    "Mutation.deleteRunQueues": given(queueIDs=lambda world: [world.queue_id]),
    "Mutation.pushToRunQueueByName": lambda world: {"input": in_queue(world) | {"runSpec": "{}"}},
    "Mutation.pushToRunQueue": given(queueID=lambda world: world.queue_id, runSpec="{}"),
    "Mutation.popFromRunQueue": lambda world: {
        "input": (in_queue(world) if world.item else {}) | {"launchAgentId": world.agent}
    },
    "Mutation.ackRunQueueItem": given(runQueueItemId=lambda world: world.leased_item, runName="mine"),
    "Mutation.failRunQueueItem": given(runQueueItemId=lambda world: world.leased_item, message="m", stage="run"),
    "Mutation.updateRunQueueItemWarning": given(runQueueItemId=lambda world: world.item, message="m", stage="s"),
    "Mutation.deleteFromRunQueue": given(queueID=lambda world: world.queue_id, runQueueItemId=lambda world: world.item),
    "Mutation.createLaunchAgent": given(
        entityName=entity, projectName=QUEUE_PROJECT, runQueues=lambda world: [world.queue_id], hostname="h"
    ),
    "Mutation.updateLaunchAgent": given(launchAgentId=lambda world: world.agent, agentStatus="KILLED"),
    "Mutation.claimRunQueueItems": lambda world: {
        "input": {
            "launchAgentId": world.agent,
            "claimId": fresh_name("claim") if world.item else "",
            "maxItems": 5,
            "maxSchedulers": 5,
            "waitSeconds": 0,
        }
    },
    "Mutation.watchLaunchAgent": given(
        launchAgentId=lambda world: world.agent, agentStatus="KILLED", seenStops=[], waitSeconds=0
    ),
    "Mutation.resumeLaunchAgent": given(
        launchAgentId=lambda world: world.agent if world.leased_item else "", knownItemIds=[]
    ),
    "Mutation.ackRunQueueItems": lambda world: {
        "input": {
            "acks": [{"runQueueItemId": world.leased_item, "runName": "mine"}],
            "launchAgentId": world.agent,
        }
    },
    "Mutation.reportRunQueueItems": lambda world: {
        "input": {
            "reports": [{"runQueueItemId": world.claimed_item, "sequence": 99, "status": "failed", "message": "m"}],
            "launchAgentId": world.agent,
        }
    },
    "Mutation.returnRunQueueItems": given(
        launchAgentId=lambda world: world.agent, runQueueItemIds=lambda world: [world.leased_item]
    ),
    "Mutation.stopRunQueueItem": given(runQueueItemId=lambda world: world.item),
    "Mutation.stopLaunchAgent": given(launchAgentId=lambda world: world.agent),
    # runs and sweeps
    "Mutation.stopRun": given(id=lambda world: world.run),
    # artifacts
    "Query.artifact": lambda world: {"id": world.artifact},
    "Mutation.createArtifact": lambda world: {
        "input": {
            "entityName": world.entity,
            "projectName": world.project,
            "artifactTypeName": "code",
            "artifactCollectionName": fresh_name("collection"),
            "digest": "d",
        }
    },
    "Mutation.createArtifactManifest": given(
        artifactID=lambda world: world.artifact,
        name="m",
        digest="",
        entityName=entity,
        projectName=lambda world: world.project,
    ),
    "Mutation.createArtifactFiles": lambda world: {
        "input": {"artifactFiles": [{"artifactID": world.artifact, "name": "f", "md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}]}
    },
    "Mutation.commitArtifact": given(artifactID=lambda world: world.ready_artifact),
    "Mutation.useArtifact": given(
        entityName=entity,
        projectName=lambda world: world.project,
        runName=lambda world: world.run_name,
        artifactID=lambda world: world.committed_artifact,
    ),
    "Query.artifactCollection": lambda world: {"id": world.collection_id},
    "Query.clientIDMapping": lambda world: {"clientID": world.client_id if world.artifact else ""},
    "Mutation.createArtifactType": given(entityName=entity, projectName=lambda world: world.project, name="kind"),
    "Mutation.updateArtifactManifest": given(artifactManifestID=lambda world: world.manifest_id, digest=""),
    "Mutation.updateArtifact": given(artifactID=lambda world: world.committed_artifact, description="mine"),
    "Mutation.deleteArtifact": given(artifactID=lambda world: world.committed_artifact),
    "Mutation.addAliases": given(
        artifactID=lambda world: world.committed_artifact, aliases=lambda world: [in_collection(world, alias="mine")]
    ),
    "Mutation.deleteAliases": given(
        artifactID=lambda world: world.committed_artifact, aliases=lambda world: [in_collection(world, alias="mine")]
    ),
    "Mutation.updateArtifactSequence": given(artifactSequenceID=lambda world: world.collection_id, description="mine"),
    "Mutation.moveArtifactSequence": given(
        artifactSequenceID=lambda world: world.collection_id, destinationArtifactTypeName="mine"
    ),
    "Mutation.deleteArtifactSequence": given(artifactSequenceID=lambda world: world.collection_id),
    "Mutation.createArtifactCollectionTagAssignments": lambda world: {
        "input": in_collection(world, tags=[{"tagName": "mine"}])
    },
    "Mutation.deleteArtifactCollectionTagAssignments": lambda world: {
        "input": in_collection(world, tags=[{"tagName": "mine"}])
    },
}

FIELDS = sorted(
    f"{kind.name}.{name}" for kind in (SCHEMA.query_type, SCHEMA.mutation_type) if kind for name in kind.fields
)
TRIED = [field for field in FIELDS if field in ROWS]


def test_every_field_has_a_row() -> None:
    missing = [field for field in FIELDS if field not in ROWS.keys() | REFUSED]
    example = '"Mutation.stopRun": given(id=lambda world: world.run),'
    assert not missing, (
        f"{', '.join(missing)}: add a row to ROWS in {__file__}, with the arguments that reach an object of a World,"
        f" as in {example} New kinds of objects get a property in tests/support/world.py."
    )
    assert ROWS.keys() <= set(FIELDS), "rows of fields that there are not"


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
                columns = [column[1] for column in connection.execute(f"PRAGMA table_info({table})")]
                foreign = connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()
                references[table] = [(columns.index(key[3]), key[2]) for key in foreign]
                kept = ", ".join(column for column in columns if column != "last_used_at")
                for row in connection.execute(f"SELECT rowid, {kept} FROM {table}"):
                    rows[table, row[0]] = row[1:]
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
    assert may_look or scene.victim.hidden not in answer, (
        f"{field} {arguments} shows what is not the caller's: {answer}"
    )


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
        assert world.hidden in answer, f"{field} {arguments} shows nothing hidden of its owner's world: {answer}"
    else:
        assert scene.snapshot().rows != before.rows, f"{field} {arguments} changes nothing of its owner's: {answer}"


@pytest.mark.parametrize("key", ["", "x" * 40, "api", "\u00fc" * 20])
def test_nobody_gets_anything_without_a_key(scene: Scene, key: str) -> None:
    with Api(scene.server.url, key) as api:
        for field in TRIED:
            kind, _, name = field.partition(".")
            response = api.post({"query": f"{kind.lower()} {{ {name} {{ __typename }} }}"})
            assert (response.status_code, "data" in response.json()) == (401, False)
