"""Garbage collection and the rules of retention at the request of an administrator."""

from typing import Any

from ariadne import MutationType

from launchd.server.context import Info
from launchd.server.errors import NotAllowed
from launchd.server.files.gc import GcResult
from launchd.server.runs.retention import Doomed

mutation = MutationType()
bindables = [mutation]

_MOST_RUNS = 1000


@mutation.field("collectGarbage")
async def collect(_: object, info: Info, input: dict[str, Any]) -> GcResult:
    if not info.context.viewer.admin:
        raise NotAllowed("Only an administrator of the server may collect its garbage; it also happens by itself.")
    return await info.context.app.garbage_collector.collect()


@mutation.field("applyRetention")
async def apply_retention(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    if not info.context.viewer.admin:
        raise NotAllowed("Only an administrator of the server may ask what its rules of retention let go.")
    retention = info.context.app.retention
    doomed = await (retention.apply() if input.get("remove") else retention.plan())
    oldest = sorted(doomed, key=lambda each: each.run.ended_at)[:_MOST_RUNS]
    return {
        "runs": [_shown(each) for each in oldest],
        "count": len(doomed),
        "bytes": sum(each.run.size for each in doomed),
    }


def _shown(doomed: Doomed) -> dict[str, Any]:
    return {
        "entity_project": doomed.project,
        "name": doomed.run.name,
        "ended_at": doomed.run.ended_at,
        "bytes": doomed.run.size,
        "reason": doomed.reason,
        "files_only": doomed.files_only,
    }
