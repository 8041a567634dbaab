"""Values of a run by path, for filters and orders, under W&B's names."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from launchd.server.models import Run
from launchd.server.runs import history_keys, lenient_json

COLUMNS: Mapping[str, str] = {
    "name": "name",
    "displayname": "display_name",
    "state": "state",
    "sweep": "sweep_name",
    "sweepname": "sweep_name",
    "agent": "sweep_agent_id",
    "group": "group_name",
    "jobtype": "job_type",
    "commit": "commit_hash",
    "host": "host",
    "notes": "notes",
    "description": "description",
    "createdat": "created_at",
    "heartbeatat": "heartbeat_at",
    "updatedat": "heartbeat_at",
    "stopped": "stopped",
    "exitcode": "exit_code",
}
"""Column of each name; names are compared without underscores and case."""

TIMES = frozenset({"created_at", "heartbeat_at"})
TEXTS = frozenset(COLUMNS.values()) - TIMES - {"stopped", "exit_code"}


def column_of(path: str) -> str | None:
    """The column of a path; None where it names none."""
    return COLUMNS.get(path.replace("_", "").lower())


class RunFields:
    """The fields of one run. JSON is decoded when it is first needed."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @cached_property
    def _config(self) -> dict[str, Any]:
        return lenient_json.load_object(self._run.config)

    @cached_property
    def _summary(self) -> dict[str, Any]:
        return lenient_json.load_object(self._run.summary)

    def value(self, path: str) -> Any:
        """The value at a path; None where there is none. Times are seconds since 1970."""
        column = column_of(path)
        if column is not None:
            return getattr(self._run, column)
        section, _, rest = path.partition(".")
        match section:
            case "config":
                return self._of_config(rest)
            case "summary_metrics" | "summaryMetrics" | "summary":
                return history_keys.value_at(self._summary, rest)
            case "tags":
                return msgspec.json.decode(self._run.tags) if self._run.tags else []
            case "keys_info":
                return self._of_keys(rest.removeprefix("keys."))
            case _:
                return None

    def _of_config(self, path: str) -> Any:
        """A value of the config: `config.lr`, `config.lr.value` and `config.model.value.width` all work."""
        key, rest = (path, "") if path in self._config else path.partition(".")[::2]
        held = self._config.get(key)
        value = held.get("value", held) if isinstance(held, dict) else held
        inner = rest.removeprefix("value").removeprefix(".")
        if not inner:
            return value
        return history_keys.value_at(value, inner) if isinstance(value, dict) else None

    def _of_keys(self, key: str) -> Any:
        return history_keys.decode(self._run.history_keys).count(key) or None


def time_of(value: Any) -> Any:
    """A time in a filter (ISO 8601) in seconds since 1970; other values unchanged."""
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    # A time without a zone is UTC, as W&B writes it.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
