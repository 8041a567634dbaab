"""Creating and changing runs as W&B's `upsertBucket` does, with its meaning of null, `id` and `name`.

Null leaves a column unchanged. A request by `name` is from the run's own client: it starts the run, and its config is
merged key by key, because a sweep or a second writer may have set other keys. A request by `id` edits the run from
outside: the state stays, and the config is replaced, so that keys can be removed. A request with neither announces a
run, as a scheduler of a sweep does; the queue starts it.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from launchd.server.errors import Refused
from launchd.server.models import ProjectRecord, Run, Viewer
from launchd.server.runs import lenient_json, names
from launchd.server.runs.branch_point import branch_point, with_inherited
from launchd.server.store.accounts import principals
from launchd.server.store.runs import branches, runs
from launchd.server.store.runs.states import HEARTBEAT_STATES, NOT_ENDED, PENDING, RUNNING, STATES
from launchd.server.store.sweeps import sweeps

_COLUMNS = {
    "group_name": "group_name",
    "job_type": "job_type",
    "description": "description",
    "notes": "notes",
    "display_name": "display_name",
    "host": "host",
    "job_program": "program",
    "job_repo": "repo",
    "commit": "commit_hash",
    "summary_metrics": "summary",
}


def upsert(connection: Connection, viewer: Viewer, given: Mapping[str, Any]) -> tuple[Run, bool]:
    """The run, and whether it is new: it was not there, or only announced.

    Raises:
        NotFound: entity or run (by `id`) do not exist for the viewer.
        Refused: an invalid name or state, or a config that is not an object.
    """
    if given.get("id"):
        found = runs.require_by_storage_id(connection, viewer, given["id"])
        runs.change(connection, found.id, _given(given) | _replaced_config(given))
        return runs.run_by_number(connection, found.id), False
    project_name, name = given.get("model_name") or principals.UNCATEGORIZED, given.get("name") or names.new_run_id()
    entity = principals.require_entity(connection, viewer, given.get("entity_name"), project=project_name, run=name)
    project, _ = principals.ensure_project(connection, entity, project_name)
    before = runs.find_run(connection, project.id, name)
    run_id = _add(connection, viewer, project, name, given) if before is None else _restart(connection, before, given)
    _join_sweep(connection, project, run_id, given.get("sweep"))
    return runs.run_by_number(connection, run_id), before is None or before.state == PENDING


def _join_sweep(connection: Connection, project: ProjectRecord, run_id: int, name: str | None) -> None:
    """Add the run to the sweep that it names; an unknown sweep is ignored."""
    sweep = sweeps.find_sweep(connection, project.id, name) if name else None
    if sweep is not None:
        runs.change(connection, run_id, {"sweep_id": sweep.id})


def _add(connection: Connection, viewer: Viewer, project: ProjectRecord, name: str, given: Mapping[str, Any]) -> int:
    principals.check_name("run", name)
    state = _state(given) or (RUNNING if given.get("name") else PENDING)
    shown = names.display_name(runs.count(connection, project.id) + 1)
    defaults: dict[str, Any] = {"display_name": shown, "author_id": viewer.author_id, "state": state}
    if state in HEARTBEAT_STATES:
        defaults["heartbeat_at"] = time.time()
    values = defaults | _given(given) | _first_config(connection, project, given)
    return runs.insert_run(connection, project.id, name, values)


def _first_config(connection: Connection, project: ProjectRecord, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a new run; a fork also has that of the run it is forked from."""
    config = _config(given) if given.get("config") is not None else {}
    point = branch_point(config)
    if point is None:
        return _replaced_config(given)
    parent = branches.require_parent(connection, project.id, point)
    return {"config": lenient_json.dumps(with_inherited(config, lenient_json.load_object(parent.config)))}


def _restart(connection: Connection, before: Run, given: Mapping[str, Any]) -> int:
    values = _given(given)
    if given.get("config") is not None:
        config = lenient_json.load_object(before.config) | _config(given)
        values["config"] = lenient_json.dumps(config)
    state = _state(given) or (before.state if before.state in HEARTBEAT_STATES else RUNNING)
    values["state"] = state
    if before.state not in NOT_ENDED and state in HEARTBEAT_STATES:
        values |= {"stopped": False, "exit_code": None}
    if before.display_name is None:
        values.setdefault("display_name", names.display_name(runs.count(connection, before.project_id)))
    runs.change(connection, before.id, values)
    runs.hear(connection, before.id)
    return before.id


def _given(given: Mapping[str, Any]) -> dict[str, Any]:
    values = {column: given[name] for name, column in _COLUMNS.items() if given.get(name) is not None}
    if given.get("tags") is not None:
        values["tags"] = msgspec.json.encode(given["tags"]).decode()
    return values


def _replaced_config(given: Mapping[str, Any]) -> dict[str, Any]:
    return {} if given.get("config") is None else {"config": lenient_json.dumps(_config(given))}


def _config(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        value = lenient_json.loads(given["config"] or "{}")
    except ValueError as error:
        raise Refused(f"The run's config is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise Refused("The run's config must be a JSON object.")
    return value


def _state(given: Mapping[str, Any]) -> str | None:
    state: str | None = given.get("state")
    if state is not None and state not in STATES:
        raise Refused(f"{state[:40]!r} is no state of a run; known are {', '.join(STATES)}.")
    return state
