"""Agents' reports about items: each is about one lease, and safe to repeat.

A state with a lower number than the last one is stale. An end always counts, also with a lower number, and is never
overwritten.
"""

import math
import time
from typing import Any

from sqlalchemy import Boolean, Connection, String, bindparam, or_, select, update

from launchd.server.models import Item, ItemAnswer, ItemReport, ItemResult, Viewer
from launchd.server.store.accounts.authorization import binds
from launchd.server.store.launch import acknowledgements, restored
from launchd.server.store.launch.agent_texts import storable
from launchd.server.store.launch.served import is_served
from launchd.server.store.launch.states import ENDED, HELD, RUN_END_OF_STATUS, RUNNING, STATE_OF_STATUS, STATUSES
from launchd.server.store.runs import ends as run_ends
from launchd.server.store.runs import runs
from launchd.server.store.tables import run_queue_items

item = run_queue_items.c

_LONGEST_MESSAGE = 64 * 1024
_LONGEST_WORD = 256
"""Characters of a phase or a stage."""
_LATEST = 253_402_300_799.0
"""The last second of the year 9999, in seconds since 1970."""
_LARGEST_INTEGER = 2**31 - 1

_REPORTED = select(item.run_id, item.report_sequence).where(item.id == bindparam("of_id"))
_APPLY = update(run_queue_items).where(
    item.id == bindparam("of_id"),
    item.lease_number == bindparam("of_lease"),
    item.state.in_(HELD),
    is_served(item.queue_id, bindparam("by_agent", type_=String)),
    or_(
        item.report_sequence.is_(None),
        item.report_sequence < bindparam("new_sequence"),
        bindparam("is_end", type_=Boolean),
    ),
)


def record(connection: Connection, viewer: Viewer, agent_id: str, report: ItemReport) -> ItemResult:
    """Apply one report."""
    if report.status not in STATUSES:
        known = ", ".join(sorted(STATUSES))
        return refused(report, f"{report.status[:40]!r} is no status; known are {known}.")
    found = restored.find_item(connection, viewer, agent_id, report.item_id, lease=report.lease)
    answer = _answer(connection, viewer, agent_id, found, report)
    message = acknowledgements.explain(connection, found, answer)
    return ItemResult(item_id=report.item_id, answer=answer, message=message)


def refused(report: ItemReport, reason: str) -> ItemResult:
    """The answer to a report that can never be taken."""
    return ItemResult(item_id=report.item_id, answer=ItemAnswer.REFUSED, message=reason)


def _answer(
    connection: Connection, viewer: Viewer, agent_id: str, found: Item | None, report: ItemReport
) -> ItemAnswer:
    if found is None:
        return ItemAnswer.UNKNOWN
    if not acknowledgements.is_of_lease(found, agent_id, report.lease):
        return ItemAnswer.LEASE_ENDED
    reported = connection.execute(_REPORTED, {"of_id": found.id}).one()
    last = -1 if reported.report_sequence is None else reported.report_sequence
    end = STATE_OF_STATUS.get(report.status)
    if end is None and report.sequence <= last:
        return ItemAnswer.TAKEN if report.sequence == last else ItemAnswer.STALE
    if found.state in ENDED:
        return ItemAnswer.TAKEN if found.state == end else ItemAnswer.OVER
    values: dict[str, Any] = {
        "of_id": found.id,
        "of_lease": found.lease_number,
        "by_agent": agent_id,
        "new_sequence": report.sequence,
        "is_end": end is not None,
        "report_sequence": max(report.sequence, last),
    }
    values |= _changes(report, found.started_at) | binds(viewer)
    if connection.execute(_APPLY, values).rowcount == 0:
        return ItemAnswer.LEASE_ENDED
    if reported.run_id is not None:
        _update_run(connection, reported.run_id, report)
    return ItemAnswer.TAKEN


def _update_run(connection: Connection, run_id: int, report: ItemReport) -> None:
    """Update the run by the state of its process, unless the run's own client has reported more."""
    if report.status in RUN_END_OF_STATUS:
        state = RUN_END_OF_STATUS[report.status]
        run_ends.end(connection, run_id, state, _when(report), _exit_code(report))
    elif report.status in RUNNING:
        runs.mark_started(connection, run_id)


def _changes(report: ItemReport, started_at: float | None) -> dict[str, Any]:
    when = _when(report)
    changes: dict[str, Any] = {
        "status": report.status,
        "phase": storable(report.phase, _LONGEST_WORD),
        "message": _message(report),
        "stage": storable(report.stage, _LONGEST_WORD),
        "exit_code": _exit_code(report),
    }
    if report.status == "running" and started_at is None:
        changes["started_at"] = when
    if report.status in STATE_OF_STATUS:
        changes |= {"state": STATE_OF_STATUS[report.status], "finished_at": when, "lease_ends_at": None}
    return changes


def _message(report: ItemReport) -> str | None:
    """The message; the exit code takes its place where it is no number that can be kept."""
    if report.message is None and report.exit_code != _exit_code(report):
        return f"The exit code was {report.exit_code}."
    return storable(report.message, _LONGEST_MESSAGE)


def _exit_code(report: ItemReport) -> int | None:
    code = report.exit_code
    return code if code is not None and abs(code) <= _LARGEST_INTEGER else None


def _when(report: ItemReport) -> float:
    """When it happened: as the agent says, where that is a time."""
    when = report.occurred_at
    return when if when is not None and math.isfinite(when) and 0 <= when <= _LATEST else time.time()
