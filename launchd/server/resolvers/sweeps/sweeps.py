"""Sweeps: reading, creating, changing."""

import asyncio
from collections.abc import Mapping
from typing import Any

from ariadne import MutationType, ObjectType
from graphql import GRAPHQL_MAX_INT
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.launch.enqueue import enqueue
from launchd.server.launch.submitters import Pusher
from launchd.server.models import MODEL_REGISTRY, ProjectRecord, Sweep
from launchd.server.notifier import Work, work_topic
from launchd.server.resolvers.json_args import parse_object
from launchd.server.resolvers.pagination import size_of, start_of
from launchd.server.resolvers.runs.lists import page_of_runs
from launchd.server.runs import filters, sorting
from launchd.server.store.accounts import principals
from launchd.server.store.ids import names_id
from launchd.server.store.launch import queues
from launchd.server.store.runs.lists import RunQuery
from launchd.server.store.sweeps import ends as sweep_ends
from launchd.server.store.sweeps import results as sweep_results
from launchd.server.store.sweeps import runs as sweep_runs
from launchd.server.store.sweeps import sweeps
from launchd.server.store.sweeps import upserts as sweep_upserts
from launchd.server.store.sweeps.states import CANCELED
from launchd.server.store.sweeps.upserts import Scheduler
from launchd.server.sweeps.config import SweepConfig, read_config

mutation = MutationType()
project = ObjectType("Project")
sweep = ObjectType("Sweep")
bindables = [mutation, project, sweep]

_MOST_SWEEPS = 1000
_ALL_RUNS = 1000


@project.field("sweep")
async def resolve_sweep(found: ProjectRecord, info: Info, sweep_name: str) -> Sweep | None:
    return await info.context.read(sweeps.find_sweep, found.id, sweep_name)


@project.field("totalSweeps")
async def resolve_total(found: ProjectRecord, info: Info) -> int:
    return await info.context.read(sweeps.count, found.id)


@project.field("sweeps")
async def resolve_sweeps(
    found: ProjectRecord, info: Info, after: str | None = None, first: int | None = None, filters: str | None = None
) -> dict[str, Any]:
    wanted = _predicate(filters)
    size, start = size_of(first, most=_MOST_SWEEPS), start_of(after, 0)
    rows = await info.context.read(sweeps.sweeps_of, found.id, start, size + 1)
    shown = [(place, row) for place, row in enumerate(rows[:size], start + 1) if wanted(_SweepFields(row))]
    return {
        "edges": [{"node": row, "cursor": str(place)} for place, row in shown],
        "page_info": {"has_next_page": len(rows) > size, "end_cursor": str(start + size)},
    }


def _predicate(text: str | None) -> filters.Predicate:
    return filters.predicate(filters.read_filter(text))


class _SweepFields:
    """The fields of a sweep that filters can use."""

    def __init__(self, found: Sweep) -> None:
        self._values = {
            "name": found.name,
            "displayname": found.display_name,
            "state": found.state,
            "method": found.method,
            "description": found.description,
        }

    def value(self, path: str) -> Any:
        return self._values.get(path.replace("_", "").lower())


@sweep.field("id")
def resolve_id(found: Sweep, info: Info) -> str:
    return names_id("Sweep", found.name, found.project_name, found.entity_name)


@sweep.field("displayName")
def resolve_display_name(found: Sweep, info: Info) -> str:
    return found.display_name or found.name


@sweep.field("earlyStopJobRunning")
def resolve_early_stop(found: Sweep, info: Info) -> bool:
    return False


@sweep.field("controllerRunName")
def resolve_controller_run(found: Sweep, info: Info) -> str | None:
    return found.name if found.launched else None


@sweep.field("bestLoss")
async def resolve_best_loss(found: Sweep, info: Info) -> float | None:
    return await info.context.read(sweep_results.best_loss, found, await _read(found.config))


@sweep.field("runCount")
async def resolve_run_count(found: Sweep, info: Info) -> int:
    return await info.context.read(sweep_results.count, found.id)


@sweep.field("runCountExpected")
async def resolve_run_count_expected(found: Sweep, info: Info) -> int | None:
    expected = sweep_ends.runs_expected(await _read(found.config))
    return expected if expected is not None and expected <= GRAPHQL_MAX_INT else None


@sweep.field("runs")
async def resolve_runs(
    found: Sweep,
    info: Info,
    filters: str | None = None,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> dict[str, Any]:
    query = runs_of(found, {"sweep": found.name}, filters, order)
    return await page_of_runs(info, query, after, first if first is not None else _ALL_RUNS)


def runs_of(found: Sweep, whose: Mapping[str, Any], filter_text: str | None, order: str | None) -> RunQuery:
    """Runs of the sweep that are also in `whose`."""
    given = {"$and": [dict(whose), dict(filters.read_filter(filter_text))]}
    return RunQuery(found.project_id, given, sorting.parse_order(order))


@sweep.field("project")
async def resolve_project(found: Sweep, info: Info) -> ProjectRecord:
    return await info.context.read(principals.project_by_id, found.project_id)


@mutation.field("upsertSweep")
async def upsert(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    scheduler = sweep_upserts.read_scheduler(input.get("launch_scheduler"))
    values = parse_object(input.get("template_variable_values"), "templateVariableValues")
    pusher = Pusher(viewer=context.viewer, job_keys=context.app.job_keys)
    if input.get("config") is not None:
        # Outside of the transaction, so that other writers do not wait for it; the result is cached.
        await _read(input["config"])

    prior = await context.read_long(sweep_upserts.prior_runs, context.viewer, input, context.answer)

    def work(connection: Connection) -> tuple[Sweep, str | None, list[str]]:
        made = sweep_upserts.upsert(connection, context.viewer, input, scheduler, prior)
        queue_id = _queue_scheduler(connection, pusher, made, scheduler, values) if scheduler else None
        canceled = input.get("state") == CANCELED
        return made, queue_id, sweep_runs.cancel_runs(connection, context.viewer, made) if canceled else []

    made, queue_id, agent_ids = await context.write(work)
    if queue_id is not None:
        context.app.notifier.wake_one([work_topic(queue_id, Work.SCHEDULER)])
    context.app.notifier.wake_all(agent_ids)
    warnings = (await _read(made.config)).warnings
    return {"sweep": made, "config_validation_warnings": list(warnings)}


async def _read(config: str) -> SweepConfig:
    """Parse in another thread: long YAML takes seconds, which must not block the event loop."""
    return await asyncio.to_thread(read_config, config)


def _queue_scheduler(
    connection: Connection, pusher: Pusher, made: Sweep, scheduler: Scheduler, values: Mapping[str, Any]
) -> str:
    """Queue the scheduler's item. Returns the id of the queue."""
    entity = scheduler.run_queue_entity or made.entity_name
    project_name = scheduler.run_queue_project or MODEL_REGISTRY
    queue = queues.require_pushed(connection, pusher.viewer, entity, project_name, scheduler.queue)
    enqueue(connection, pusher, queue, scheduler.spec_for(made), values)
    return queue.id
