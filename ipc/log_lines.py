"""A log record as one line of text: a fixed sentence, then the values that were logged with it.

The supervisor, the queue server and the workers write alike; where the lines go is their own business.
"""

import json
import logging
import time
from typing import Any

from ipc.visible_text import visible, visible_lines

#: What every record has; anything else on it was given with ``extra``.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


_PLAIN = logging.Formatter()


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the values that were logged with the sentence (``extra={...}``)."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class TextFormatter(logging.Formatter):
    """``2026-01-31 12:00:00.123 INFO launchd.agent.supervisor: The sentence. item=3 why="the reason"``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line; a traceback follows on lines of its own."""
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        return visible(f"{moment}.{int(record.msecs):03} {record.levelname} {record.name}: ") + described(record)


def described(record: logging.LogRecord) -> str:
    """Return the sentence of ``record`` and its values as one line; a traceback follows on lines of its own."""
    values = "".join(f" {name}={_shown(value)}" for name, value in fields(record).items())
    # What an exception says may be another's word.
    traceback = f"\n{visible_lines(_PLAIN.formatException(record.exc_info))}" if record.exc_info else ""
    return visible(f"{record.getMessage()}{values}") + traceback


def _shown(value: Any) -> str:
    """Plain where that cannot be misread, else as JSON: a record stays one line with any value."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    plain = text.isprintable() and not any(mark in text for mark in ' "=') and text
    return text if plain or not isinstance(value, str) else json.dumps(text)
