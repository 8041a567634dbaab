"""How a daemon of ours writes its log: one handler, as lines of text or as JSON.

Owns formats and levels. Records are a fixed sentence with its values as fields (``extra={...}``); this puts the two
together again. It decides nothing about what is logged.
"""

import json
import logging
import logging.handlers
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

#: What every record has; anything else on it is a field of ours.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

STDOUT = "-"


def set_up(form: Literal["text", "json"], verbosity: int = 0, log_file: str | None = None) -> None:
    """Send all records to ``log_file``: ``None`` is standard error, ``"-"`` standard output, else a path to append to.

    ``verbosity`` 0 shows what happens, 1 also our own details, 2 also those of libraries. A file that is moved away
    (logrotate) is made again. Raises ``OSError`` where it cannot be opened.
    """
    handler = _handler(log_file)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if verbosity >= 2 else logging.WARNING, force=True)
    logging.getLogger("launchd").setLevel(logging.DEBUG if verbosity >= 1 else logging.INFO)


def _handler(log_file: str | None) -> logging.Handler:
    match log_file:
        case None:
            return logging.StreamHandler(sys.stderr)
        case "-":
            return logging.StreamHandler(sys.stdout)
        case _:
            return logging.handlers.WatchedFileHandler(log_file, encoding="utf-8", errors="backslashreplace")


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the values that were logged with the sentence."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class TextFormatter(logging.Formatter):
    """``2026-01-31 12:00:00.123 INFO launchd.care: The sentence. item=3 why="because of this"``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line; a traceback follows on lines of its own."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        values = "".join(f" {name}={_shown(value)}" for name, value in fields(record).items())
        line = f"{time} {record.levelname} {record.name}: {record.getMessage()}{values}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object per record: time, level, logger, message and the fields beside them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= _free_names(fields(record), entry)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def _free_names(values: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}_" if name in taken else name: value for name, value in values.items()}


def _shown(value: Any) -> str:
    """Plain where that cannot be misread, else as JSON: a record stays one line whatever a value contains."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    plain = text.isprintable() and not any(mark in text for mark in ' "=') and text
    return text if plain or not isinstance(value, str) else json.dumps(text)
