"""Fields of a run's history and system metrics."""

from typing import Any

from ariadne import ObjectType

from launchd.server.context import Info
from launchd.server.files.signed_urls import RUN_DOWNLOAD
from launchd.server.models import EVENTS, HISTORY, Run
from launchd.server.resolvers.runs import sampled_history as history
from launchd.server.store.runs import lines as run_lines

run = ObjectType("Run")
bindables = [run]


@run.field("history")
async def resolve_history(
    found: Run, info: Info, min_step: int | None = None, max_step: int | None = None, samples: int | None = None
) -> list[str]:
    most = history.bounded(samples)
    if min_step is None and max_step is None:
        return await history.sampled_lines(info.context, found, HISTORY, most)
    end = history.LAST_STEP if max_step is None else max_step
    return await history.lines_of_steps(info.context, found, min_step or 0, end, most)


@run.field("events")
async def resolve_events(found: Run, info: Info, samples: int | None = None) -> list[str]:
    return await history.sampled_lines(info.context, found, EVENTS, history.bounded(samples))


@run.field("sampledHistory")
async def resolve_sampled_history(found: Run, info: Info, specs: list[str]) -> list[list[dict[str, Any]]]:
    return [await history.sampled_values(info.context, found, spec) for spec in history.read_specs(specs)]


@run.field("parquetHistory")
async def resolve_parquet_history(found: Run, info: Info, live_keys: list[str]) -> dict[str, Any]:
    """W&B's newer clients read from it at which line the lines begin that they must fetch page by page.

    A history is in files as a whole, or not at all: with some of the lines in files, wandb 0.31 would read these twice.
    """
    exports = await info.context.app.history_exports.of(found)
    if exports:
        links = [info.context.link(RUN_DOWNLOAD, export.id) for export in exports]
        return {"parquet_urls": links, "live_data": []}
    return {"parquet_urls": [], "live_data": await history.values_of_line(info.context, found, 0, live_keys)}


@run.field("historyTail")
async def resolve_history_tail(found: Run, info: Info) -> list[str]:
    return await _tail(info, found, HISTORY)


@run.field("eventsTail")
async def resolve_events_tail(found: Run, info: Info) -> list[str]:
    return await _tail(info, found, EVENTS)


async def _tail(info: Info, found: Run, stream: int) -> list[str]:
    """The last line only: W&B's clients read no more of it."""
    context = info.context
    return [line.content for line in await context.read(run_lines.tail, found.id, stream, 1, context.answer)]
