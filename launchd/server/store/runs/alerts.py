"""Alerts that runs sent by `run.alert()`: kept with their run, the newest thousand."""

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from launchd.server.errors import Refused
from launchd.server.models import Run, RunAlert
from launchd.server.store.tables import run_alerts

_MOST = 1000
_LONGEST_TITLE = 1000
_LONGEST_TEXT = 20_000
_MILLISECONDS = 1e3
"""In a second: W&B's clients send the durations of alerts so."""

row = run_alerts.c
_OF_RUN = select(run_alerts).where(row.run_id == bindparam("of_run")).order_by(row.id.desc())
_SAME = _OF_RUN.where(row.title == bindparam("of_title")).limit(1)
_BEYOND = delete(run_alerts).where(
    row.run_id == bindparam("of_run"),
    row.id.in_(select(row.id).where(row.run_id == bindparam("of_run")).order_by(row.id.desc()).offset(_MOST)),
)


def add(connection: Connection, found: Run, given: Mapping[str, Any]) -> RunAlert | None:
    """Keep an alert as `notifyScriptableRunAlert` sends it; None where the last with its title is too young.

    Raises:
        Refused: title or text are longer than any.
    """
    title, text = given["title"], given["text"]
    if len(title) > _LONGEST_TITLE or len(text) > _LONGEST_TEXT:
        raise Refused(
            f"An alert has a title of at most {_LONGEST_TITLE} characters and a text of at most {_LONGEST_TEXT}."
        )
    now = time.time()
    last = connection.execute(_SAME, {"of_run": found.id, "of_title": title}).first()
    if last is not None and now - last.created_at < (given.get("wait_duration") or 0) / _MILLISECONDS:
        return None
    values = {"run_id": found.id, "title": title, "text": text, "severity": given.get("severity") or "INFO"}
    connection.execute(insert(run_alerts), values | {"created_at": now})
    connection.execute(_BEYOND, {"of_run": found.id})
    return RunAlert(title=title, text=text, severity=values["severity"], created_at=now)


def of_run(connection: Connection, run_id: int, limit: int) -> list[RunAlert]:
    """Return the alerts of a run, the newest first."""
    rows = connection.execute(_OF_RUN.limit(limit), {"of_run": run_id})
    return [RunAlert(title=row.title, text=row.text, severity=row.severity, created_at=row.created_at) for row in rows]
