"""Runs of a project: W&B's `runs` with filters, order and pages."""

from typing import Any

from ariadne import ObjectType

from launchd.server.context import Info
from launchd.server.models import ProjectRecord
from launchd.server.resolvers.pagination import page_of, size_of, start_of
from launchd.server.runs import filters, sorting
from launchd.server.store.runs import lists as run_lists
from launchd.server.store.runs.lists import RunQuery

project = ObjectType("Project")
bindables = [project]

_MOST_RUNS = 1000


@project.field("readOnly")
def resolve_read_only(found: ProjectRecord, info: Info) -> bool:
    return False


@project.field("runCount")
async def resolve_run_count(found: ProjectRecord, info: Info, filters: str | None = None) -> int:
    return await info.context.read(run_lists.count, query_of(found.id, filters, None), info.context.answer)


@project.field("runs")
@project.field("buckets")
async def resolve_runs(
    found: ProjectRecord,
    info: Info,
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> dict[str, Any]:
    return await page_of_runs(info, query_of(found.id, filters, order), after, first)


def query_of(project_id: int, filter_text: str | None, order: str | None) -> RunQuery:
    """The query for these arguments. Raises `Refused` where the filter or the order is not valid."""
    return RunQuery(project_id, filters.read_filter(filter_text), sorting.parse_order(order))


async def page_of_runs(info: Info, query: RunQuery, after: str | None, first: int | None) -> dict[str, Any]:
    """A connection of runs. One row more than asked for is read, to know whether there is a next page."""
    size, start = size_of(first, most=_MOST_RUNS), start_of(after, 0)
    rows = await info.context.read(run_lists.page, query, start, size + 1, info.context.answer)
    return page_of(enumerate(rows[:size], start + 1), more=len(rows) > size)
