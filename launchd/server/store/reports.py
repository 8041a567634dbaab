"""What agents report about their items. Owns idempotence (by sequence); an end is never overwritten."""

import time
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select, update

from launchd.server.store import runs
from launchd.server.store.records import Report
from launchd.server.store.states import IN_CARE, RUN_STATE_OF_STATUS, STATE_OF_STATUS
from launchd.server.store.tables import run_queue_items

item = run_queue_items.c

_REPORTED = select(item.state, item.run_id, item.started_at, item.report_sequence).where(
    item.id == bindparam("of_id"), item.agent_id == bindparam("of_agent")
)
_TAKE_IN = update(run_queue_items).where(
    item.id == bindparam("of_id"),
    item.agent_id == bindparam("of_agent"),
    item.state.in_(IN_CARE),
    or_(item.report_sequence.is_(None), item.report_sequence < bindparam("new_sequence")),
)


def record(connection: Connection, agent_id: str, report: Report) -> bool:
    """Take one report in.

    True also for one that was seen before; false where the item is not the agent's (any more) or has ended otherwise.
    """
    which = {"of_id": report.item_id, "of_agent": agent_id}
    found = connection.execute(_REPORTED, which).first()
    if found is None:
        return False
    if found.report_sequence is not None and report.sequence <= found.report_sequence:
        return True
    changes = which | {"new_sequence": report.sequence} | _changes(report, found.started_at)
    if connection.execute(_TAKE_IN, changes).rowcount == 0:
        return bool(found.state == STATE_OF_STATUS.get(report.status))
    if found.run_id is not None and report.status in RUN_STATE_OF_STATUS:
        runs.set_state(connection, found.run_id, RUN_STATE_OF_STATUS[report.status])
    return True


def _changes(report: Report, started_at: float | None) -> dict[str, Any]:
    when = report.occurred_at if report.occurred_at is not None else time.time()
    changes: dict[str, Any] = {
        "report_sequence": report.sequence,
        "status": report.status,
        "phase": report.phase,
        "message": report.message,
        "stage": report.stage,
        "exit_code": report.exit_code,
    }
    if report.status == "running" and started_at is None:
        changes["started_at"] = when
    if report.status in STATE_OF_STATUS:
        changes |= {"state": STATE_OF_STATUS[report.status], "finished_at": when, "lease_ends_at": None}
    return changes
