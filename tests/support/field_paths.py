"""Ways through the schema from a query's root to the fields below it that have arguments.

A field whose arguments must be given needs a row in `BELOW`, or `tests/test_architecture.py` fails.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLField, GraphQLNamedType, GraphQLUnionType, get_named_type, is_composite_type
from graphql import is_required_argument as is_required

from tests.support.field_args import ROWS, SCHEMA, Arguments
from tests.support.tenant import QUEUE_PROJECT, Tenant

MOST_STEPS = 6

BELOW: dict[str, Arguments] = {
    "Entity.project": lambda tenant: {"name": tenant.project},
    "Entity.defaultResourceConfig": lambda tenant: {"id": tenant.config_id},
    "Project.runQueue": lambda tenant: {"name": tenant.queue_name},
    "Project.run": lambda tenant: {"name": tenant.logged_run},
    "Project.bucket": lambda tenant: {"name": tenant.logged_run},
    "Project.sweep": lambda tenant: {"sweepName": tenant.sweep_name},
    "Project.artifact": lambda tenant: {"name": f"{tenant.collection}:{tenant.alias}"},
    "Project.artifactType": lambda _: {"name": "code"},
    "Project.artifactCollection": lambda tenant: {"name": tenant.collection},
    "Project.artifactCollectionMembership": lambda tenant: {"name": f"{tenant.collection}:{tenant.alias}"},
    "ArtifactType.artifact": lambda tenant: {"name": f"{tenant.collection}:{tenant.alias}"},
    "ArtifactType.artifactCollection": lambda tenant: {"name": tenant.collection},
    "ArtifactType.artifactSequence": lambda tenant: {"name": tenant.collection},
    "ArtifactCollection.artifactMembership": lambda tenant: {"aliasName": tenant.alias},
    "ArtifactSequence.artifactMembership": lambda tenant: {"aliasName": tenant.alias},
    "Run.sampledHistory": lambda _: {"specs": ['{"keys": ["loss"], "samples": 10}']},
    "Run.parquetHistory": lambda _: {"liveKeys": ["loss"]},
    "RunQueue.runQueueItem": lambda tenant: {"id": tenant.item},
    "Sweep.agent": lambda tenant: {"agentName": tenant.sweep_agent_name},
}
"""Arguments that reach an object of a world, from its parent; other fields need none."""

IN_THE_PROJECT_OF_QUEUES = {"Project.runQueue", "Project.runQueues"}


@dataclass(frozen=True)
class Step:
    """A field of an object, or a member of a union, which has no field."""

    parent: str
    text: str
    field: GraphQLField | None = None

    @property
    def name(self) -> str:
        return f"{self.parent}.{self.text}"

    @property
    def kinds(self) -> dict[str, Any]:
        """Types of its arguments."""
        return {name: told.type for name, told in self.field.args.items()} if self.field else {}

    @property
    def needs_arguments(self) -> bool:
        return self.field is not None and any(is_required(told) for told in self.field.args.values())

    def sane(self, tenant: Tenant) -> dict[str, Any]:
        """Arguments that reach an object of this world."""
        find = ROWS.get(self.name) or BELOW.get(self.name)
        return find(tenant) if find else {}


Way = tuple[Step, ...]


def sane(way: Way, tenant: Tenant) -> list[dict[str, Any]]:
    """For each step the arguments with which the way leads to an object of this world."""
    arguments = [step.sane(tenant) for step in way]
    if any(step.name in IN_THE_PROJECT_OF_QUEUES for step in way):
        return [
            {**given, "name": QUEUE_PROJECT} if given.get("name") == tenant.project else given for given in arguments
        ]
    return arguments


def reached(data: Any, way: Way) -> list[Any]:
    """What the answer to `query_along` holds at the end of the way: several values where it leads through lists."""
    found = [data]
    for step in way:
        if step.field is not None:
            values = [value[step.text] for value in found]
            found = [inner for value in values for inner in (value if isinstance(value, list) else [value])]
            found = [value for value in found if value is not None]
    return found


def _walk(kind: GraphQLNamedType, way: Way, above: frozenset[str]) -> Iterator[Way]:
    """Yield every way on from an object of this type, each type once."""
    for step, below in _steps(kind):
        longer = (*way, step)
        yield longer
        if len(longer) < MOST_STEPS and is_composite_type(below) and below.name not in above:
            yield from _walk(below, longer, above | {below.name})


def _steps(kind: GraphQLNamedType) -> Iterator[tuple[Step, GraphQLNamedType]]:
    if isinstance(kind, GraphQLUnionType):
        yield from ((Step(kind.name, f"... on {member.name}"), member) for member in kind.types)
    for name, field in getattr(kind, "fields", {}).items():
        yield Step(kind.name, name, field), get_named_type(field.type)


def _ways() -> dict[str, list[Way]]:
    found: dict[str, list[Way]] = defaultdict(list)
    assert SCHEMA.query_type is not None
    for way in _walk(SCHEMA.query_type, (), frozenset({"Query"})):
        if len(way) > 1 and way[-1].kinds:
            found[way[-1].name].append(way)
    return {name: sorted(ways, key=len) for name, ways in sorted(found.items())}


WAYS = _ways()
"""By each field below the root that has arguments, the shortest way first."""


def query_along(way: Way, arguments: Sequence[dict[str, Any]], selection: str) -> dict[str, Any]:
    """A request that goes this way, each step with its arguments, and selects this of what it reaches."""
    variables: dict[str, Any] = {}
    declared: list[str] = []
    text = selection
    for place, (step, given) in reversed(list(enumerate(zip(way, arguments, strict=True)))):
        variables |= {f"v{place}{name}": value for name, value in given.items()}
        declared += [f"$v{place}{name}: {step.kinds[name]}" for name in given]
        text = f"{{ {step.text}{_listed(f'{name}: $v{place}{name}' for name in given)} {text} }}"
    return {"query": f"query{_listed(declared)} {text}", "variables": variables}


def _listed(texts: Iterable[str]) -> str:
    joined = ", ".join(texts)
    return f"({joined})" if joined else ""
