"""What agents report about their items. Owns idempotence (by sequence) and the rule that an end is never overwritten."""

import time
from typing import Any

from sqlalchemy import Connection, or_, select, update

from launchd.server.store import runs
from launchd.server.store.records import Report
from launchd.server.store.states import IN_CARE, RUN_STATE_OF_STATUS, STATE_OF_STATUS
from launchd.server.store.tables import run_queue_items

item = run_queue_items.c


def record(connection: Connection, agent_id: str, report: Report) -> bool:
    """Take one report in. True also for one that was seen before; false where the item is not (or no longer) the agent's, or
    has ended otherwise.
    """
    found = connection.execute(
        select(item.state, item.run_id, item.started_at, item.report_sequence).where(
            item.id == report.item_id, item.agent_id == agent_id
        )
    ).first()
    if found is None:
        return False
    if found.report_sequence is not None and report.sequence <= found.report_sequence:
        return True
    if not _apply(connection, agent_id, report, _changes(report, found.started_at)):
        return bool(found.state == STATE_OF_STATUS.get(report.status))
    if found.run_id is not None and report.status in RUN_STATE_OF_STATUS:
        runs.set_state(connection, found.run_id, RUN_STATE_OF_STATUS[report.status])
    return True


def _apply(connection: Connection, agent_id: str, report: Report, changes: dict[str, Any]) -> bool:
    changed = connection.execute(
        update(run_queue_items)
        .where(
            item.id == report.item_id,
            item.agent_id == agent_id,
            item.state.in_(IN_CARE),
            or_(item.report_sequence.is_(None), item.report_sequence < report.sequence),
        )
        .values(changes)
    )
    return changed.rowcount > 0


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
