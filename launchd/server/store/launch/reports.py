"""Agents' reports about items: idempotent by sequence number; an end always counts, and is never overwritten."""

import time
from typing import Any

from sqlalchemy import Boolean, Connection, bindparam, or_, select, update

from launchd.server.models import ItemReport
from launchd.server.store.launch.states import HELD, RUN_END_OF_STATUS, RUNNING, STATE_OF_STATUS
from launchd.server.store.runs import ends as run_ends
from launchd.server.store.runs import runs
from launchd.server.store.tables import run_queue_items

item = run_queue_items.c

_REPORTED = select(item.state, item.run_id, item.started_at, item.report_sequence).where(
    item.id == bindparam("of_id"), item.agent_id == bindparam("of_agent")
)
_APPLY = update(run_queue_items).where(
    item.id == bindparam("of_id"),
    item.agent_id == bindparam("of_agent"),
    item.state.in_(HELD),
    or_(
        item.report_sequence.is_(None),
        item.report_sequence < bindparam("new_sequence"),
        bindparam("is_end", type_=Boolean),
    ),
)


def record(connection: Connection, agent_id: str, report: ItemReport) -> bool:
    """Apply one report.

    True also for one that was applied before; false where the item is not the agent's (any more) or has ended already.
    """
    which = {"of_id": report.item_id, "of_agent": agent_id}
    found = connection.execute(_REPORTED, which).first()
    if found is None:
        return False
    is_end = report.status in STATE_OF_STATUS
    if not is_end and found.report_sequence is not None and report.sequence <= found.report_sequence:
        return True
    changes = which | {"new_sequence": report.sequence, "is_end": is_end} | _changes(report, found.started_at)
    if connection.execute(_APPLY, changes).rowcount == 0:
        return bool(found.state == STATE_OF_STATUS.get(report.status))
    if found.run_id is not None:
        _update_run(connection, found.run_id, report)
    return True


def _update_run(connection: Connection, run_id: int, report: ItemReport) -> None:
    """Update the run by the state of its process, unless the run's own client has reported more."""
    if report.status in RUN_END_OF_STATUS:
        state = RUN_END_OF_STATUS[report.status]
        run_ends.end(connection, run_id, state, _when(report), report.exit_code)
    elif report.status in RUNNING:
        runs.mark_started(connection, run_id)


def _changes(report: ItemReport, started_at: float | None) -> dict[str, Any]:
    when = _when(report)
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


def _when(report: ItemReport) -> float:
    return report.occurred_at if report.occurred_at is not None else time.time()
