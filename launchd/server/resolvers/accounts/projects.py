"""Projects: reading and creating them."""

from collections.abc import Sequence
from typing import Any

from ariadne import MutationType, ObjectType, QueryType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.errors import Refused
from launchd.server.models import EntityRecord, ProjectRecord, Queue, Viewer
from launchd.server.resolvers.pagination import connection_of, size_of, start_of
from launchd.server.store.accounts import principals
from launchd.server.store.ids import names_id
from launchd.server.store.launch import queues

query = QueryType()
mutation = MutationType()
project = ObjectType("Project")
entity = ObjectType("Entity")
bindables = [query, mutation, project, entity]

_MOST_PROJECTS = 1000


@query.field("project")
async def resolve_project(
    _: object, info: Info, name: str | None = None, entity_name: str | None = None
) -> ProjectRecord | None:
    context = info.context
    return await context.read(principals.project_of, context.viewer, entity_name, name or "")


@query.field("models")
async def resolve_projects(
    _: object, info: Info, entity_name: str | None = None, after: str | None = None, first: int | None = None
) -> dict[str, Any] | None:
    return await _page(info, entity_name, after, first)


async def _page(info: Info, entity_name: str | None, after: str | None, first: int | None) -> dict[str, Any] | None:
    """One row more than asked for is read, to know whether there is a next page."""
    context = info.context
    size, start = size_of(first, most=_MOST_PROJECTS), start_of(after, 0)

    def work(connection: Connection) -> Sequence[ProjectRecord] | None:
        entity = principals.find_entity(connection, context.viewer, entity_name)
        return principals.page_of_projects(connection, entity, start, size + 1) if entity else None

    rows = await context.read(work)
    return None if rows is None else connection_of(rows, size, lambda row: row, lambda row: row.id)


@mutation.field("upsertModel")
async def upsert_model(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    if not input.get("name"):
        raise Refused("A project needs a name.")
    made, inserted = await context.write(_upsert, context.viewer, input)
    return {"project": made, "model": made, "inserted": inserted}


def _upsert(connection: Connection, viewer: Viewer, input: dict[str, Any]) -> tuple[ProjectRecord, bool]:
    entity = principals.require_entity(connection, viewer, input.get("entity_name"), project=input["name"])
    return principals.ensure_project(connection, entity, input["name"], input.get("description"), input.get("access"))


@entity.field("project")
async def resolve_project_of(found: EntityRecord, info: Info, name: str) -> ProjectRecord | None:
    context = info.context
    return await context.read(principals.project_of, context.viewer.looking(), found.name, name)


@entity.field("projects")
async def resolve_projects_of(
    found: EntityRecord, info: Info, after: str | None = None, first: int | None = None, **ignored: object
) -> dict[str, Any] | None:
    return await _page(info, found.name, after, first)


@project.field("updatedAt")
def resolve_updated_at(found: ProjectRecord, info: Info) -> float:
    """A project does not change after it was made."""
    return found.created_at


@project.field("id")
def resolve_id(found: ProjectRecord, info: Info) -> str:
    return names_id("Project", found.name, found.entity_name)


@project.field("internalId")
def resolve_internal_id(found: ProjectRecord, info: Info) -> str:
    return str(found.id)


@project.field("entity")
async def resolve_entity(found: ProjectRecord, info: Info) -> EntityRecord | None:
    context = info.context
    return await context.read(principals.find_entity, context.viewer.looking(), found.entity_name)


@project.field("isBenchmark")
def resolve_is_benchmark(found: ProjectRecord, info: Info) -> bool:
    return False


@project.field("runQueues")
async def resolve_run_queues(found: ProjectRecord, info: Info) -> list[Queue]:
    return await info.context.read(queues.queues_of, found.id)


@project.field("runQueue")
async def resolve_run_queue(found: ProjectRecord, info: Info, name: str) -> Queue | None:
    return await info.context.read(queues.find_queue, found.id, name)
