"""Lineage: what a run used and made, and which runs made and used a version."""

from typing import Any

from ariadne import MutationType, ObjectType, UnionType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.errors import Refused
from launchd.server.models import Artifact, Run
from launchd.server.resolvers.pagination import connection_of, size_of, start_of
from launchd.server.store.artifacts import artifacts, lineage
from launchd.server.store.artifacts.lineage import INPUT, OUTPUT
from launchd.server.store.runs import runs

mutation = MutationType()
artifact = ObjectType("Artifact")
run = ObjectType("Run")
creator = UnionType("ArtifactCreator", type_resolver=lambda *_: "Run")
bindables = [mutation, artifact, run, creator]

_MOST_RUNS = 1000


@mutation.field("useArtifact")
async def use(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """The version may belong to any entity where the caller may look; what changes is the run."""
    context = info.context

    def work(connection: Connection) -> Artifact:
        found = artifacts.require_artifact(connection, context.viewer.looking(), input["artifact_id"])
        if found.state != artifacts.COMMITTED:
            raise Refused(f"Artifact {found.title!r} is {found.state}, so it cannot be used.")
        names = (input["entity_name"], input["project_name"], input["run_name"])
        lineage.record(connection, runs.require_run(connection, context.viewer, *names), found, INPUT)
        return found

    return {"artifact": await context.write(work)}


@artifact.field("createdBy")
async def resolve_created_by(found: Artifact, info: Info) -> Run | None:
    makers = await info.context.read(lineage.runs_of, info.context.viewer.looking(), found, OUTPUT, 1)
    return makers[0] if makers else None


@artifact.field("usedBy")
async def resolve_used_by(found: Artifact, info: Info) -> dict[str, Any]:
    users = await info.context.read(lineage.runs_of, info.context.viewer.looking(), found, INPUT, _MOST_RUNS)
    return connection_of(users, len(users), lambda user: user, lambda user: user.id)


@run.field("outputArtifacts")
async def resolve_outputs(found: Run, info: Info, after: str | None = None, first: int | None = None) -> dict[str, Any]:
    return await _artifacts(found, info, OUTPUT, after, first)


@run.field("inputArtifacts")
async def resolve_inputs(found: Run, info: Info, after: str | None = None, first: int | None = None) -> dict[str, Any]:
    return await _artifacts(found, info, INPUT, after, first)


async def _artifacts(found: Run, info: Info, relation: str, after: str | None, first: int | None) -> dict[str, Any]:
    size, start = size_of(first), start_of(after, 0)

    def work(connection: Connection) -> tuple[list[Artifact], int]:
        rows = lineage.artifacts_of(connection, info.context.viewer.looking(), found, relation, start, size + 1)
        return rows, lineage.count_artifacts(connection, info.context.viewer.looking(), found, relation)

    rows, total = await info.context.read(work)
    return connection_of(rows, size, lambda row: row, lambda row: row.number, total)
