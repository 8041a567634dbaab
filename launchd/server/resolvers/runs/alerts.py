"""Alerts of runs: taken, shown, and handed to what sends them on."""

import logging
from typing import Any

from ariadne import MutationType, ObjectType
from sqlalchemy import Connection

from launchd.server.alert_sender import AlertToSend
from launchd.server.context import Info
from launchd.server.models import Run, RunAlert
from launchd.server.resolvers.pagination import size_of
from launchd.server.store.runs import alerts as run_alerts
from launchd.server.store.runs import runs

logger = logging.getLogger(__name__)

mutation = MutationType()
run = ObjectType("Run")
bindables = [mutation, run]

_MOST = 1000


@mutation.field("notifyScriptableRunAlert")
async def alert(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> tuple[Run, RunAlert | None]:
        names = (input.get("entity_name"), input["project_name"], input["run_name"])
        found = runs.require_run(connection, context.viewer, *names)
        return found, run_alerts.add(connection, found, input)

    found, kept = await context.write(work)
    if kept is not None:
        logger.info("A run sent an alert.", extra={"run": found.name, "title": kept.title, "severity": kept.severity})
        context.app.alert_sender.send(
            AlertToSend(found.entity_name, found.project_name, found.name, kept.title, kept.text, kept.severity)
        )
    return {"success": True}


@run.field("alerts")
async def resolve_alerts(found: Run, info: Info, first: int | None = None) -> list[RunAlert]:
    return await info.context.read(run_alerts.of_run, found.id, size_of(first, most=_MOST))
