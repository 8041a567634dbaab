"""Runs: finding one, and its fields."""

from typing import Any

import msgspec
from ariadne import ObjectType, QueryType

from launchd.server.context import Info
from launchd.server.models import EVENTS, ProjectRecord, Run, User
from launchd.server.runs import history_keys, lenient_json
from launchd.server.store.accounts import accounts, principals
from launchd.server.store.ids import names_id
from launchd.server.store.runs import lines as run_lines
from launchd.server.store.runs import runs
from launchd.server.store.runs.states import CRASHED, FAILED, PENDING, RUNNING

query = QueryType()
run = ObjectType("Run")
project = ObjectType("Project")
bindables = [query, run, project]

_ATTRIBUTES = {
    "exitcode": "exit_code",
    "group": "group_name",
    "commit": "commit_hash",
    "shouldStop": "stopped",
    "historyLineCount": "own_lines",
    "eventsLineCount": "event_lines",
    "logLineCount": "console_lines",
}
for _field, _attribute in _ATTRIBUTES.items():
    run.set_alias(_field, _attribute)


@query.field("model")
async def resolve_model(
    _: object, info: Info, name: str | None = None, entity_name: str | None = None
) -> ProjectRecord | None:
    context = info.context
    return await context.read(principals.project_of, context.viewer, entity_name, name or "")


@project.field("run")
async def resolve_run(found: ProjectRecord, info: Info, name: str, desc: str | None = None) -> Run | None:
    return _counted(info, await info.context.read(runs.find_run, found.id, name))


@project.field("bucket")
async def resolve_bucket(
    found: ProjectRecord, info: Info, name: str, missing_ok: bool | None = None, desc: str | None = None
) -> Run | None:
    """With `missing_ok` (a client about to resume), a run that was only announced counts as missing."""
    bucket = _counted(info, await info.context.read(runs.find_run, found.id, name))
    return None if bucket is not None and bucket.state == PENDING and missing_ok else bucket


def _counted(info: Info, found: Run | None) -> Run | None:
    """The run; its texts count as read into the answer."""
    if found is not None:
        info.context.answer.take(found.size)
    return found


@run.field("id")
def resolve_id(found: Run, info: Info) -> str:
    return names_id("Run", found.name, found.project_name, found.entity_name)


@run.field("displayName")
def resolve_display_name(found: Run, info: Info) -> str:
    return found.display_name or found.name


@run.field("failed")
def resolve_failed(found: Run, info: Info) -> bool:
    return found.state in (FAILED, CRASHED)


@run.field("running")
def resolve_running(found: Run, info: Info) -> bool:
    return found.state == RUNNING


@run.field("readOnly")
def resolve_read_only(found: Run, info: Info) -> bool:
    return False


@run.field("tags")
def resolve_tags(found: Run, info: Info) -> list[str]:
    return msgspec.json.decode(found.tags, type=list[str]) if found.tags else []


@run.field("config")
def resolve_config(found: Run, info: Info) -> str:
    return found.config or "{}"


@run.field("wandbConfig")
def resolve_wandb_config(found: Run, info: Info, keys: list[str] | None = None) -> dict[str, Any]:
    info.context.answer.take_texts(found.config)
    block = lenient_json.load_object(found.config).get("_wandb")
    values = block.get("value") if isinstance(block, dict) else None
    wanted = values if isinstance(values, dict) else {}
    return {key: value for key, value in wanted.items() if keys is None or key in keys}


@run.field("summaryMetrics")
def resolve_summary(found: Run, info: Info, keys: list[str] | None = None) -> str:
    if keys is None:
        return found.summary or "{}"
    info.context.answer.take_texts(found.summary)
    summary = lenient_json.load_object(found.summary)
    return lenient_json.dumps({key: summary[key] for key in keys if key in summary})


@run.field("systemMetrics")
async def resolve_system_metrics(found: Run, info: Info) -> str:
    last = await info.context.read(run_lines.tail, found.id, EVENTS, 1, info.context.answer)
    metrics = lenient_json.load_object(last[0].content) if last else {}
    return lenient_json.dumps({key: value for key, value in metrics.items() if not key.startswith("_")})


@run.field("historyKeys")
def resolve_history_keys(found: Run, info: Info) -> dict[str, Any] | None:
    info.context.answer.take_texts(found.history_keys)
    return history_keys.decode(found.history_keys).to_json() if found.history_keys else None


@run.field("projectId")
def resolve_project_id(found: Run, info: Info) -> str:
    return str(found.project_id)


@run.field("user")
async def resolve_user(found: Run, info: Info) -> User:
    """The run's author; the viewer where none is known, because W&B's clients fail on null."""
    return await info.context.read(accounts.user_by_id, found.author_id) or info.context.viewer


@run.field("project")
async def resolve_project(found: Run, info: Info) -> ProjectRecord:
    return await info.context.read(principals.project_by_id, found.project_id)
