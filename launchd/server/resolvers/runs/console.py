"""The console of a run: its last lines, or page by page."""

from typing import Any

from ariadne import ObjectType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.models import CONSOLE, Line, Run
from launchd.server.resolvers.pagination import page_of, size_of, start_of
from launchd.server.runs.console import parse_line
from launchd.server.store.runs import lines as run_lines

run = ObjectType("Run")
bindables = [run]

_MOST_LINES = 10_000


@run.field("logLines")
async def resolve_log_lines(
    found: Run,
    info: Info,
    first: int | None = None,
    last: int | None = None,
    after: str | None = None,
    use_improved_pagination: bool | None = None,
) -> dict[str, Any]:
    if last is not None:
        lines = await info.context.read(run_lines.tail, found.id, CONSOLE, _bounded(last), info.context.answer)
        return _page(lines, more=False)
    start = start_of(after, -1) + 1
    end = start + _bounded(first)

    def page(connection: Connection) -> list[Line]:
        lines = run_lines.by_number(connection, found.id, CONSOLE, start, end)
        return list(run_lines.counted(lines, info.context.answer))

    return _page(await info.context.read(page), more=end < found.console_lines)


def _bounded(lines: int | None) -> int:
    return size_of(lines, _MOST_LINES, _MOST_LINES)


def _page(lines: list[Line], *, more: bool) -> dict[str, Any]:
    return page_of(((line.number, parse_line(line)) for line in lines), more=more)
