"""Log records to systemd's journal by its native protocol: a sentence with fields that `journalctl` can select by.

Owns the socket and the encoding. A record that the journal does not take goes to another handler, so that none is lost.
The libraries for this raise where the journal is away, or wait for it without end; the protocol is small.
"""

import errno
import fcntl
import json
import logging
import os
import re
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

from ipc.log_lines import described, fields

#: Where systemd-journald listens, for the services of users too.
JOURNAL_SOCKET = "/run/systemd/journal/socket"

#: What `journalctl -t` selects by; the process's own name changes with what it does.
IDENTIFIER = "launchd"

#: How long a journal that takes nothing may delay a record, in seconds.
SEND_SECONDS = 1.0

#: Too long for a datagram, or for what the socket may buffer.
_TOO_LONG = frozenset({errno.EMSGSIZE, errno.ENOBUFS})

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL

_MOST_CHARACTERS = 64
_NO_NAME = re.compile("[^A-Z0-9_]")


def is_journal(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Return whether ``stream`` leads to the journal, as systemd says by ``$JOURNAL_STREAM`` (device and inode)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalHandler(logging.Handler):
    """Sends each record to the journal at ``address``; one that cannot be sent is handled by ``instead``."""

    def __init__(self, instead: logging.Handler, address: str = JOURNAL_SOCKET) -> None:
        super().__init__()
        self._instead = instead
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(SEND_SECONDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Send ``record``."""
        try:
            self._send(encoded(_entry(record)))
        except OSError:
            self._instead.handle(record)
        except Exception:  # noqa: BLE001 - as each handler of the standard library
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()

    def _send(self, data: bytes) -> None:
        # By its path each time: a journal that is restarted has another socket there.
        try:
            self._socket.sendto(data, self._address)
        except OSError as error:
            if error.errno not in _TOO_LONG:
                raise
            self._send_as_file(data)

    def _send_as_file(self, data: bytes) -> None:
        """Send ``data`` as a sealed file in memory, which is how the journal takes what no datagram can hold."""
        descriptor = os.memfd_create("journal", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", file.fileno()))
            self._socket.sendmsg([], [rights], 0, self._address)


def _entry(record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    """Yield the fields of ``record``: those that systemd describes, then the values that were logged with it."""
    own = {
        "MESSAGE": described(record),
        "PRIORITY": str(_priority(record.levelno)),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "LOGGER": record.name,
        "THREAD_NAME": record.threadName or "",
        "CODE_FILE": record.pathname,
        "CODE_LINE": str(record.lineno),
        "CODE_FUNC": record.funcName or "",
    }
    yield from own.items()
    for name, value in fields(record).items():
        key = field_name(name)
        if value is not None and key:
            yield f"{key}_" if key in own else key, _shown(value)


def _priority(level: int) -> int:
    """Return syslog's number for a level of Python's."""
    steps = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
    return next((priority for least, priority in steps if level >= least), 7)


def field_name(name: str) -> str:
    """Return ``name`` as the journal's fields are named; empty where nothing of it can be.

    Names with a leading underscore are those that the journal itself vouches for.
    """
    return _NO_NAME.sub("_", name.upper()).lstrip("_0123456789")[: _MOST_CHARACTERS - 1]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def encoded(entry: Iterable[tuple[str, str]]) -> bytes:
    """Return the fields of ``entry`` as the journal reads them: a value of several lines has its length before it."""
    return b"".join(_encoded_field(name.encode(), value) for name, value in entry)


def _encoded_field(name: bytes, value: str) -> bytes:
    data = value.encode(errors="backslashreplace")
    if b"\n" not in data:
        return name + b"=" + data + b"\n"
    return name + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
