"""Views of projects: reports and saved workspaces, as W&B's programs save and read them."""

from typing import Any

from ariadne import MutationType, ObjectType, QueryType

from launchd.server.context import Info
from launchd.server.models import ProjectRecord, User, View
from launchd.server.resolvers.pagination import connection_of, size_of, start_of
from launchd.server.store.accounts import accounts, principals
from launchd.server.store.ids import HIGHEST_NUMBER, storage_id
from launchd.server.store.runs import views

query = QueryType()
mutation = MutationType()
project = ObjectType("Project")
view = ObjectType("View")
bindables = [query, mutation, project, view]

_MOST = 1000


@query.field("view")
async def resolve_view(_: object, info: Info, id: str) -> View | None:
    return await info.context.read(views.find, info.context.viewer, id)


@mutation.field("upsertView")
async def upsert(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    saved, inserted = await info.context.write(views.save, info.context.viewer, input)
    return {"view": saved, "inserted": inserted}


@mutation.field("deleteView")
async def remove(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    await info.context.write(views.remove, info.context.viewer, input["id"])
    return {"success": True, "pending_drafts": []}


@project.field("allViews")
async def resolve_all(
    found: ProjectRecord,
    info: Info,
    view_type: str | None = None,
    view_name: str | None = None,
    user_name: str | None = None,
    first: int | None = None,
    after: str | None = None,
) -> dict[str, Any]:
    """Of all users: no view is one user's alone here."""
    size, before = size_of(first, most=_MOST), start_of(after, HIGHEST_NUMBER)
    rows = await info.context.read(views.page, found.id, view_type, view_name, before, size + 1)
    return connection_of(rows, size, lambda row: row, lambda row: row.id)


@view.field("id")
def resolve_id(found: View, info: Info) -> str:
    return storage_id(views.KIND, found.id)


@view.field("user")
async def resolve_user(found: View, info: Info) -> User | None:
    return await info.context.read(accounts.user_by_id, found.author_id)


@view.field("project")
async def resolve_project(found: View, info: Info) -> ProjectRecord:
    return await info.context.read(principals.project_by_id, found.project_id)
