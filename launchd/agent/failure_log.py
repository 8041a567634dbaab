"""Makes the log of a failed item, which W&B's page shows beside the item.

It holds the failure's sentence and the end of what the job, or its worker, wrote. The agent's key, the submitter's key,
and values that are named like secrets are masked before the text leaves this host. Reads files; sends nothing.
"""

import os
import re
from pathlib import Path

from ipc.job_files import OUTPUT_FILE, WORKER_LOG_FILE
from ipc.plain_files import open_plain

#: How much of the end of a log is taken, in bytes.
TAIL_BYTES = 64 * 1024

MASK = "***"

#: ``NAME=value`` or ``"name": "value"``, for the usual names of secrets; the value is masked.
_NAMED_SECRET = re.compile(
    r"""(?ix) ( (?: api[_-]?key | access[_-]?key | secret | passw(?:or)?d | token | credential ) [\w.-]{0,64} ["']?
    \s{0,8} [=:] \s{0,8} ["']? (?: (?: bearer | basic ) \s+ )? ) [^\s"',;&]+"""
)
_AUTHORIZATION = re.compile(r"(?i)(authorization[\"']?\s*[=:]\s*[\"']?(?:bearer|basic)?\s*)[^\s\"',;]+")
_IN_URL = re.compile(r"(://)[^/@\s:]*:[^/@\s]+@")


def error_text(message: str, directory: Path, is_output: bool, secrets: tuple[str, ...]) -> bytes:
    """Return the log of a failure: its sentence, and the end of the job's output or else of its worker's log."""
    name = OUTPUT_FILE if is_output else WORKER_LOG_FILE
    tail = _tail(directory / name)
    text = f"{message}\n\nThe end of {name}:\n{tail}" if tail else f"{message}\n"
    return redact(text, secrets).encode()


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """Return ``text`` without ``secrets``, and without values that are named like secrets."""
    for secret in filter(None, secrets):
        text = text.replace(secret, MASK)
    text = _AUTHORIZATION.sub(rf"\1{MASK}", text)
    text = _NAMED_SECRET.sub(rf"\1{MASK}", text)
    return _IN_URL.sub(rf"\1{MASK}@", text)


def _tail(path: Path) -> str:
    try:
        with open_plain(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""
