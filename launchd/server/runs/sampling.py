"""Choosing some of many lines, evenly, in bounded memory. Knows no database."""

from typing import Generic, TypeVar

T = TypeVar("T")

_SPARE = 8
"""The more are kept, the more even is what is chosen of them in the end."""


def spread(total: int, most: int) -> list[int]:
    """At most `most` numbers below `total`, evenly spread, the first and the last among them."""
    if total <= most:
        return list(range(total))
    if most <= 1:
        return [total - 1][:most]
    return [place * (total - 1) // (most - 1) for place in range(most)]


class Sieve(Generic[T]):
    """Takes any number of values, and keeps only a few times `most` of them at a time, evenly spread."""

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._kept: list[T] = []
        self._seen = 0
        self._stride = 1
        self._last: list[T] = []

    def copy(self) -> "Sieve[T]":
        """A sieve that goes on from here by itself."""
        other = Sieve[T](self._most)
        other._kept, other._last = list(self._kept), self._last
        other._seen, other._stride = self._seen, self._stride
        return other

    def add(self, value: T) -> None:
        """Take one more value."""
        if self._seen % self._stride == 0:
            self._kept.append(value)
        self._seen += 1
        self._last = [value]
        if len(self._kept) > _SPARE * self._most:
            self._kept = self._kept[::2]
            self._stride *= 2

    def chosen(self) -> list[T]:
        """At most `most` of the values, in order; the last value is always one of them."""
        everything = self._kept
        if (self._seen - 1) % self._stride:
            everything = [*self._kept, *self._last]
        return [everything[place] for place in spread(len(everything), self._most)]
