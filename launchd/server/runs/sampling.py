"""Even sampling of many lines in bounded memory."""

from typing import Generic, TypeVar

T = TypeVar("T")

_SPARE = 8
"""Samples kept per sample returned: the more are kept, the more even is the result."""


def spread(total: int, most: int) -> list[int]:
    """At most `most` numbers below `total`, evenly spread, the first and the last among them."""
    if total <= most:
        return list(range(total))
    if most <= 1:
        return [total - 1][:most]
    return [place * (total - 1) // (most - 1) for place in range(most)]


class EvenSampler(Generic[T]):
    """Samples any number of values evenly, keeping only a few times `most` of them in memory."""

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._samples: list[T] = []
        self._seen = 0
        self._stride = 1
        self._last: list[T] = []

    def copy(self) -> "EvenSampler[T]":
        """An independent copy."""
        other = EvenSampler[T](self._most)
        other._samples, other._last = list(self._samples), self._last
        other._seen, other._stride = self._seen, self._stride
        return other

    def add(self, value: T) -> None:
        """Add one more value."""
        if self._seen % self._stride == 0:
            self._samples.append(value)
        self._seen += 1
        self._last = [value]
        if len(self._samples) > _SPARE * self._most:
            self._samples = self._samples[::2]
            self._stride *= 2

    def chosen(self) -> list[T]:
        """At most `most` of the values, in order; always includes the last one."""
        everything = self._samples
        if (self._seen - 1) % self._stride:
            everything = [*self._samples, *self._last]
        return [everything[place] for place in spread(len(everything), self._most)]
