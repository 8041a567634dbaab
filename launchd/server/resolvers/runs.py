"""Runs: reading, and W&B's way to stop one."""

from typing import Any

from ariadne import MutationType, ObjectType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.errors import NotFound
from launchd.server.store import accounts, identities, items, runs
from launchd.server.store.ids import parse_storage_id, storage_id
from launchd.server.store.records import Person, ProjectRecord, Run, Viewer

mutation = MutationType()
run = ObjectType("Run")
bindables = [mutation, run]

_CONSTANTS: dict[str, Any] = {
    "config": "{}",
    "summaryMetrics": "{}",
    "systemMetrics": "{}",
    "tags": [],
    "readOnly": False,
    "historyLineCount": 0,
}
"""What a run shows while the server keeps no history: W&B's clients fail on null in these."""


def _constant(value: Any) -> Any:
    return lambda found, info: value


for _name, _value in _CONSTANTS.items():
    run.set_field(_name, _constant(_value))


@run.field("id")
def resolve_id(found: Run, info: Info) -> str:
    return storage_id("Run", "v1", found.name, found.project_name, found.entity_name)


@run.field("displayName")
def resolve_display_name(found: Run, info: Info) -> str:
    return found.display_name or found.name


@run.field("shouldStop")
def resolve_should_stop(found: Run, info: Info) -> bool:
    return found.stopped


@run.field("failed")
def resolve_failed(found: Run, info: Info) -> bool:
    return found.state in ("failed", "crashed")


@run.field("running")
def resolve_running(found: Run, info: Info) -> bool:
    return found.state == "running"


@run.field("projectId")
def resolve_project_id(found: Run, info: Info) -> str:
    return str(found.project_id)


@run.field("user")
async def resolve_user(found: Run, info: Info) -> Person:
    """Who submitted or started it; the viewer where nobody is known, for W&B's clients fail on null."""
    return await info.context.read(accounts.person_by_id, found.author_id) or info.context.viewer


@run.field("project")
async def resolve_project(found: Run, info: Info) -> ProjectRecord:
    return await info.context.read(identities.project_by_id, found.project_id)


@mutation.field("stopRun")
async def stop(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    agent_id = await context.write(_stop, context.viewer, input["id"])
    if agent_id is not None:
        context.services.wakeups.wake_all([agent_id])
    return {"success": True}


def _stop(connection: Connection, viewer: Viewer, run_id: str) -> str | None:
    """Agent that has the item behind the run, if one has."""
    words = parse_storage_id(run_id, "Run", "v1")
    name, project_name, entity_name = [*words, "", "", ""][:3]
    entity = identities.require_entity(connection, viewer, entity_name)
    project = identities.find_project(connection, entity, project_name)
    found = runs.find_run(connection, project.id, name) if project else None
    if found is None:
        raise NotFound(f"Project {project_name!r} of {entity.name!r} has no run {name!r}.")
    runs.ask_to_stop(connection, found.id)
    item_id = items.item_of_run(connection, found.id)
    item = items.find_item(connection, viewer, item_id) if item_id else None
    if item is None:
        return None
    items.stop(connection, item, "The run was stopped.")
    return item.agent_id
