"""Runs as people read them: which there are, what one holds, how a metric went. Functions on a `QueueServer`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from launchd.client.base import as_json
from launchd.client.operations import run_reading
from launchd.client.queue_server import QueueServer
from launchd.client.responses import ReadRun, RunGit, RunInfo
from launchd.client.run_values import decode_config, decode_values

_MOST_PROJECTS = 1000


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `id` is what W&B calls its name; `ended_at` is when its client was heard last.

    `config` and `summary` have no keys of W&B's client; of a list `config` is empty, and `summary` has what was asked
    for. Counts are 0, and texts None, in a list.
    """

    entity: str
    project: str
    id: str
    name: str
    state: str
    author: str | None = None
    host: str | None = None
    created_at: datetime | None = None
    heard_at: datetime | None = None
    exit_code: int | None = None
    tags: tuple[str, ...] = ()
    group: str | None = None
    job_type: str | None = None
    notes: str | None = None
    sweep: str | None = None
    program: str | None = None
    repository: str | None = None
    commit: str | None = None
    files: int = 0
    lines: int = 0
    metrics: tuple[str, ...] = ()
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}


def projects_of(server: QueueServer, entity: str) -> list[str]:
    """Return the names of the projects of an entity; none for an unknown one."""
    found = server.transport.call(run_reading.PROJECTS, {"entity": entity, "first": _MOST_PROJECTS}).result
    return [project.name for project in found.nodes] if found else []


def list_runs(
    server: QueueServer, entity: str, project: str, limit: int, *, states: Sequence[str] = (), keys: Sequence[str] = ()
) -> list[Run] | None:
    """Return the newest runs of a project, at most 1,000, with these keys of their summaries; None: no such project."""
    filters = {"state": {"$in": list(states)}} if states else {}
    return _runs(server, entity, project, limit, filters, keys)


def find_runs(server: QueueServer, entity: str, project: str, word: str) -> list[Run]:
    """Return the runs of a project that have this id or this name, the newest first."""
    filters = {"$or": [{"name": word}, {"display_name": word}]}
    return _runs(server, entity, project, 2, filters, ()) or []


def read_run(server: QueueServer, entity: str, project: str, run_id: str) -> Run | None:
    """Return everything of a run but its history; None for an unknown one."""
    variables = {"entity": entity, "project": project, "name": run_id}
    found = server.transport.call(run_reading.WHOLE_RUN, variables).result
    return _run(entity, project, found.run) if found and found.run else None


def read_metric(server: QueueServer, run: Run, key: str, samples: int) -> list[tuple[float, Any]]:
    """Return step and value of lines of a run's history that have the key, evenly sampled."""
    spec = as_json({"keys": ["_step", key], "samples": samples})
    variables = {"entity": run.entity, "project": run.project, "name": run.id, "specs": [spec]}
    found = server.transport.call(run_reading.SAMPLED_HISTORY, variables).result
    histories = (found.run.sampled_history if found and found.run else None) or [[]]
    return [(line["_step"], line[key]) for line in histories[0] if key in line and "_step" in line]


def _runs(
    server: QueueServer, entity: str, project: str, limit: int, filters: dict[str, Any], keys: Sequence[str]
) -> list[Run] | None:
    variables = {
        "entity": entity,
        "project": project,
        "filters": as_json(filters),
        "first": limit,
        "keys": list(keys),
    }
    found = server.transport.call(run_reading.RUNS, variables).result
    return None if found is None else [_run(entity, project, node) for node in found.runs.nodes]


def _run(entity: str, project: str, found: ReadRun) -> Run:
    return Run(
        entity=entity,
        project=project,
        id=found.name,
        name=found.display_name or found.name,
        state=found.state or "pending",
        author=found.user.username if found.user else None,
        host=found.host,
        created_at=found.created_at,
        heard_at=found.heartbeat_at,
        exit_code=found.exitcode,
        tags=tuple(found.tags or ()),
        group=found.group,
        job_type=found.job_type,
        notes=found.notes,
        sweep=found.sweep_name,
        files=found.file_count or 0,
        lines=found.history_line_count or 0,
        metrics=_metrics(found),
        config=decode_config(found.config),
        summary=decode_values(found.summary_metrics),
        **_origin(found),
    )


def _origin(found: ReadRun) -> dict[str, str | None]:
    """Return which program the run was, of which commit."""
    info = found.run_info or RunInfo()
    git = info.git or RunGit(commit=found.commit)
    return {"program": info.program, "repository": git.remote, "commit": git.commit}


def _metrics(found: ReadRun) -> tuple[str, ...]:
    """Return the keys of the history that are the program's own."""
    keys = found.history_keys.keys if found.history_keys else ()
    return tuple(sorted(name for name in keys if not name.startswith("_")))
