"""Garbage collection at the request of an administrator."""

from typing import Any

from ariadne import MutationType

from launchd.server.context import Info
from launchd.server.errors import NotAllowed
from launchd.server.files.gc import GcResult

mutation = MutationType()
bindables = [mutation]


@mutation.field("collectGarbage")
async def collect(_: object, info: Info, input: dict[str, Any]) -> GcResult:
    if not info.context.viewer.admin:
        raise NotAllowed("Only an administrator of the server may collect its garbage; it also happens by itself.")
    return await info.context.app.garbage_collector.collect()
