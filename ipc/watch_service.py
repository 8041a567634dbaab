"""What the process that watches a kind of target for all workers says to the supervisor, and the pipes between the two.

A scope says what is watched, in words of the target's own: the supervisor passes it on and does not read it. Each
message fits into one atomic write, so a process that is killed leaves whole ones.
"""

import select
from collections.abc import Iterable, Iterator
from multiprocessing import connection

import msgspec

#: The longest scope, in bytes of JSON.
MAX_SCOPE_BYTES = 1500
#: The longest sentence, in characters.
MAX_SENTENCE = 500
#: The longest workload name that is told, in characters; what is longer belongs to no job.
MAX_NAME = 63
#: How many names are in one message at most.
NAMES_IN_ONE = select.PIPE_BUF // (2 * MAX_NAME)


class WatchSettings(msgspec.Struct, frozen=True):
    """What holds for all watches: the process says that it lives every ``heartbeat_seconds``."""

    heartbeat_seconds: float


class WatchScope(msgspec.Struct, frozen=True, tag="watch"):
    """Watch ``scope`` from now on."""

    scope: str


class ForgetScope(msgspec.Struct, frozen=True, tag="forget"):
    """Watch ``scope`` no more."""

    scope: str


class WatcherLives(msgspec.Struct, frozen=True, tag="lives"):
    """The process is alive."""


class WorkloadsChanged(msgspec.Struct, frozen=True, tag="changed"):
    """These workloads have changed; the names of others may be among them."""

    names: tuple[str, ...]


class WatchBegan(msgspec.Struct, frozen=True, tag="began"):
    """From now on every change in ``scope`` is told. What changed before may not have been."""

    scope: str


class WatchRefused(msgspec.Struct, frozen=True, tag="refused"):
    """Something in ``scope`` cannot be watched now, and is tried again; ``why`` is a sentence."""

    scope: str
    why: str


Asked = WatchScope | ForgetScope
WatchReport = WatcherLives | WorkloadsChanged | WatchBegan | WatchRefused

_asked_decoder: msgspec.json.Decoder[Asked] = msgspec.json.Decoder(Asked)
_told_decoder: msgspec.json.Decoder[WatchReport] = msgspec.json.Decoder(WatchReport)
_encode = msgspec.json.encode


def change_messages(names: Iterable[str]) -> Iterator[WorkloadsChanged]:
    """Yield ``names`` in messages that are short enough."""
    known = tuple(filter(_is_name, names))
    for first in range(0, len(known), NAMES_IN_ONE):
        yield WorkloadsChanged(known[first : first + NAMES_IN_ONE])


def _is_name(name: str) -> bool:
    return len(name) <= MAX_NAME and name.isascii()


class WatcherEnd:
    """The side of the process that watches."""

    def __init__(self, settings: WatchSettings, asked: connection.Connection, told: connection.Connection) -> None:
        self.settings = settings
        self._asked = asked
        self._told = told

    def close_peer_ends(self) -> None:
        """Do nothing: the supervisor's ends stay with that."""

    def close(self) -> None:
        """Close this side."""
        self._asked.close()
        self._told.close()

    def tell(self, told: WatchReport) -> None:
        """Send to the supervisor; raises ``OSError`` when that is gone."""
        self._told.send_bytes(_encode(told))

    def fileno(self) -> int:
        """Return the descriptor that is readable when something is asked for, or the supervisor is gone."""
        return self._asked.fileno()

    def asked(self) -> Iterator[Asked]:
        """Yield what has been asked for since; raises ``EOFError`` or ``OSError`` when the supervisor is gone."""
        while self._asked.poll(0):
            yield _asked_decoder.decode(self._asked.recv_bytes())


class WatcherPeer:
    """The supervisor's side."""

    def __init__(self, asks: connection.Connection, hears: connection.Connection) -> None:
        self._asks = asks
        self._hears = hears

    def ask(self, asked: Asked) -> None:
        """Send to the process; raises ``OSError`` when that is gone. Wait on :attr:`asks_fileno` before it."""
        self._asks.send_bytes(_encode(asked))

    @property
    def asks_fileno(self) -> int:
        """The descriptor that is writable when :meth:`ask` does not wait."""
        return self._asks.fileno()

    def fileno(self) -> int:
        """Return the descriptor that is readable when the process has told something, or is gone."""
        return self._hears.fileno()

    def hear(self) -> WatchReport:
        """Return what the process tells next.

        Raises:
            EOFError: it is gone.
            OSError: likewise.
            msgspec.DecodeError: it is not a message of this version.
        """
        return _told_decoder.decode(self._hears.recv_bytes())

    def close(self) -> None:
        """Close this side."""
        self._asks.close()
        self._hears.close()


def open_pipes(settings: WatchSettings) -> tuple[WatcherPeer, WatcherEnd]:
    """Return both sides of new pipes."""
    asked, asks = connection.Pipe(duplex=False)
    hears, told = connection.Pipe(duplex=False)
    return WatcherPeer(asks, hears), WatcherEnd(settings, asked, told)
