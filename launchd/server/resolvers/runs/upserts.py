"""Creating and changing runs: W&B's `upsertBucket`."""

from typing import Any

from ariadne import MutationType

from launchd.server.context import Info
from launchd.server.store.runs import upserts as run_upserts

mutation = MutationType()
bindables = [mutation]


@mutation.field("upsertBucket")
async def upsert(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    found, inserted = await context.write(run_upserts.upsert, context.viewer, input)
    context.app.heartbeat_timer.on_heartbeat()
    return {"bucket": found, "inserted": inserted, "server_settings": {"server_messages": []}}
