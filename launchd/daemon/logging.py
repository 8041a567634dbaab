"""Logging of the agent and the server: one handler, with lines of text or JSON, or systemd's journal.

Owns the choice of the handler, the levels and the JSON; ``ipc.log_lines`` formats the lines of text.
"""

import json
import logging
import logging.handlers
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from ipc.log_lines import TextFormatter, fields
from launchd.daemon.journald import JournalHandler, is_journal

STDOUT = "-"


def set_up(form: Literal["text", "json"], verbosity: int = 0, log_file: str | None = None) -> None:
    """Send all records to ``log_file``: ``None`` is standard error, ``"-"`` standard output, else a path to append to.

    Text to a standard error that is systemd's journal goes there with its fields, to be selected by.
    ``verbosity`` 0 shows events, 1 also launchd's debug records, 2 also those of libraries. A file that is moved away
    (logrotate) is made again. Records
    that cannot be written are lost. Raises ``OSError`` where the file cannot be opened.
    """
    handler = _handler(log_file)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    if form == "text" and log_file is None and is_journal(sys.stderr, os.environ):
        handler = JournalHandler(instead=handler)
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if verbosity >= 2 else logging.WARNING, force=True)
    logging.getLogger("launchd").setLevel(logging.DEBUG if verbosity >= 1 else logging.INFO)


def _handler(log_file: str | None) -> logging.Handler:
    match log_file:
        case None:
            return _Stream(sys.stderr)
        case "-":
            return _Stream(sys.stdout)
        case _:
            return _File(log_file, encoding="utf-8", errors="backslashreplace")


class _Lossy(logging.Handler):
    """A handler whose records are lost where they cannot be written, as on a full disk: nothing else can be said."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


class _Stream(_Lossy, logging.StreamHandler[TextIO]):
    pass


class _File(_Lossy, logging.handlers.WatchedFileHandler):
    pass


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object: time, level, logger, message and its extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= _without_conflicts(fields(record), entry)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def _without_conflicts(values: Mapping[str, Any], reserved: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}_" if name in reserved else name: value for name, value in values.items()}
