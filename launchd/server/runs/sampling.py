"""Even sampling of many lines in bounded memory."""

from collections.abc import Callable
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


def _nothing(_: object) -> int:
    return 0


class EvenSampler(Generic[T]):
    """Samples any number of values evenly, keeping only a few times `most` of them in memory.

    Where more than `most_bytes` are kept, by `size_of` each value, it keeps fewer, but never fewer than `most`.
    """

    def __init__(self, most: int, size_of: Callable[[T], int] = _nothing, most_bytes: int = 0) -> None:
        self._most = max(1, most)
        self._size_of = size_of
        self._most_bytes = most_bytes
        self._samples: list[T] = []
        self._sizes: list[int] = []
        self._size = 0
        self._seen = 0
        self._stride = 1
        self._last: list[T] = []

    def copy(self) -> "EvenSampler[T]":
        """An independent copy."""
        other = EvenSampler[T](self._most, self._size_of, self._most_bytes)
        other._samples, other._sizes, other._last = list(self._samples), list(self._sizes), self._last
        other._size, other._seen, other._stride = self._size, self._seen, self._stride
        return other

    @property
    def is_full(self) -> bool:
        """Whether what is kept is too big even with as few values as are wanted."""
        return self._size > 2 * self._most_bytes and len(self._samples) <= 2 * self._most

    def add(self, value: T) -> None:
        """Add one more value."""
        if self._seen % self._stride == 0:
            self._keep(value)
        self._seen += 1
        self._last = [value]
        too_big = self._size > self._most_bytes and len(self._samples) > 2 * self._most
        if too_big or len(self._samples) > _SPARE * self._most:
            self._samples, self._sizes = self._samples[::2], self._sizes[::2]
            self._size = sum(self._sizes)
            self._stride *= 2

    def _keep(self, value: T) -> None:
        size = self._size_of(value)
        self._samples.append(value)
        self._sizes.append(size)
        self._size += size

    def chosen(self) -> list[T]:
        """At most `most` of the values, in order; always includes the last one."""
        everything = self._samples
        if (self._seen - 1) % self._stride:
            everything = [*self._samples, *self._last]
        return [everything[place] for place in spread(len(everything), self._most)]

    def chosen_size(self) -> int:
        """Size of the values of `chosen`, all together."""
        return sum(map(self._size_of, self.chosen()))
