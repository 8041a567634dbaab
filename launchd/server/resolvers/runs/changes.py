"""Mutations of runs: upsert, stopping, deleting, setting their state, deleting their files."""

from typing import Any

from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.context import Context, Info
from launchd.server.errors import Refused
from launchd.server.models import Artifact, Run, Viewer
from launchd.server.resolvers.artifacts.edits import remove_files
from launchd.server.runs import history_keys
from launchd.server.store.accounts import principals
from launchd.server.store.artifacts import edits as artifact_edits
from launchd.server.store.artifacts import lineage as artifact_lineage
from launchd.server.store.artifacts.artifacts import COMMITTED, PENDING
from launchd.server.store.artifacts.lineage import OUTPUT
from launchd.server.store.ids import parse_storage_id, row_number
from launchd.server.store.runs import branches as run_branches
from launchd.server.store.runs import changes as run_changes
from launchd.server.store.runs import files as run_files
from launchd.server.store.runs import runs
from launchd.server.store.runs import upserts as run_upserts

mutation = MutationType()
bindables = [mutation]

_MOST_ARTIFACTS = 10_000


@mutation.field("upsertBucket")
async def upsert(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    found, inserted = await context.write(run_upserts.upsert, context.viewer, input)
    if run_branches.may_inherit(found):
        while not await context.write(run_branches.inherit_batch, found.id):
            pass
    context.app.heartbeat_timer.on_heartbeat()
    return {"bucket": found, "inserted": inserted, "server_settings": {"server_messages": []}}


@mutation.field("rewindRun")
async def rewind(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """As `wandb.init(resume_from=)` asks for; what came later is gone."""
    context, step = info.context, input["metric_value"]
    if input["metric_name"] != history_keys.STEP:
        raise Refused(f"A run is taken back to a step: metricName must be {history_keys.STEP!r}.")
    names = (input.get("entity_name"), input.get("project_name") or principals.UNCATEGORIZED, input["run_name"])
    found = await context.read(runs.require_run, context.viewer, *names)
    count = await context.read(run_branches.lines_until, found, step)
    keys = await context.read_long(run_branches.keys_of_first, found.id, count)
    while not await context.write(run_branches.cut_batch, found.id, count, keys):
        pass
    return {"rewound_run": await context.read(runs.run_by_number, found.id)}


@mutation.field("stopRun")
async def stop(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    agent_id = await context.write(_stop, context.viewer, input["id"])
    if agent_id is not None:
        context.app.notifier.wake_all([agent_id])
    return {"success": True}


def _stop(connection: Connection, viewer: Viewer, run_id: str) -> str | None:
    found = runs.require_by_storage_id(connection, viewer, run_id)
    return run_changes.stop(connection, viewer, found.id, "The run was stopped.")


@mutation.field("deleteRun")
async def delete(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    found = await context.read(runs.find_by_storage_id, context.viewer, input["id"])
    if found is None:
        # Deleted before; W&B's server says nothing either.
        return {}
    if input.get("delete_artifacts"):
        await _delete_artifacts(context, found)
    while not await context.write(run_changes.delete_batch, found.id):
        pass
    return {}


async def _delete_artifacts(context: Context, found: Run) -> None:
    """Delete the versions that only this run has made, with their aliases; others write in between."""
    made = await context.read_long(
        artifact_lineage.artifacts_of, context.viewer, found, OUTPUT, 0, _MOST_ARTIFACTS, states=(PENDING, COMMITTED)
    )
    for each in made:
        await context.write(_delete_artifact, context.viewer, each)
    await remove_files(context)


def _delete_artifact(connection: Connection, viewer: Viewer, made: Artifact) -> None:
    if len(artifact_lineage.runs_of(connection, viewer, made, OUTPUT, 2)) == 1:
        artifact_edits.delete_version(connection, made, with_aliases=True)


@mutation.field("updateRunState")
async def update_state(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> bool:
        found = runs.require_by_storage_id(connection, context.viewer, input["id"])
        return run_changes.set_state(connection, found, input["state"])

    return {"success": await context.write(work)}


@mutation.field("deleteFiles")
async def delete_files(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Unknown files and those the viewer may not use give `success: false`; the others are deleted all the same."""
    context = info.context
    if len(input["files"]) > run_files.MOST_AT_ONCE:
        raise Refused(f"At most {run_files.MOST_AT_ONCE} files can be deleted at once.")
    numbers = {parse_storage_id(file_id, "RunFile")[0] for file_id in input["files"]}
    known = [found for number in numbers if (found := row_number(number)) is not None]
    gone = await context.write(run_files.remove, context.viewer, known)
    return {"success": gone == len(numbers)}
