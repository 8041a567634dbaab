"""The size of one answer: how many bytes it may still hold, and whether a client still waits for it."""

from typing import Any

from launchd.server.errors import Refused, StoreUnavailable

_PLAIN = 8
"""Bytes that a number, a date or a bracket counts for."""


class AnswerBudget:
    """What one request may still read into its answer. Any thread may use it.

    What is read counts when it is read, because it takes memory from then on, and the whole answer once more before it
    is written out, because a text that was read once may stand in it many times.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left = limit
        self._given_up = False

    def take(self, size: int) -> None:
        """Count bytes that were read (characters, for a text).

        Raises:
            Refused: the answer would be too big.
            StoreUnavailable: no client waits for the answer any more.
        """
        self.go_on()
        self._left -= size
        if self._left < 0:
            raise self.too_big()

    def take_texts(self, *texts: str | None) -> None:
        """Count texts that were read; see `take`."""
        self.take(sum(len(text) for text in texts if text))

    def go_on(self) -> None:
        """Raises:
        StoreUnavailable: no client waits for the answer any more.
        """
        if self._given_up:
            raise StoreUnavailable("The request was given up, because its client has left or the server stops.")

    def give_up(self) -> None:
        """Note that no client waits for the answer any more."""
        self._given_up = True

    def check(self, answer: object) -> None:
        """Raises:
        Refused: the answer, as JSON, is too big.
        """
        if size_of(answer, self._limit) > self._limit:
            raise self.too_big()

    @property
    def limit(self) -> int:
        """The size in bytes that the whole answer may have."""
        return self._limit

    def too_big(self) -> Refused:
        """The error for an answer that is too big."""
        return Refused(
            f"The answer has more than {self._limit} bytes, the most this server sends at once: ask for fewer fields,"
            " or for shorter pages (first, last, samples, limit)."
        )


def size_of(value: Any, enough: int) -> int:
    """About the size in bytes of a value as JSON; stops counting above `enough`."""
    size, waiting = 0, [value]
    while waiting and size <= enough:
        found = waiting.pop()
        if isinstance(found, dict):
            size += sum(map(len, found)) + _PLAIN
            waiting.extend(found.values())
        elif isinstance(found, list):
            size += _PLAIN
            waiting.extend(found)
        else:
            size += len(found) if isinstance(found, str) else _PLAIN
    return size
