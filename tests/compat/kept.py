"""What is dear to make, and made once for all tests of one version of W&B's client."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, TypeVar

from tests.compat.clients import WandbClient

T = TypeVar("T")
AnswerOf = Callable[..., dict[str, Any]]


class Kept:
    """Values by version and name, made when first asked for."""

    def __init__(self, closing: ExitStack) -> None:
        self._closing = closing
        self._made: dict[tuple[str, str], Any] = {}

    def get(self, client: WandbClient, name: str, make: Callable[[], T]) -> T:
        """Return what has this name; ``make`` makes it."""
        key = (client.version, name)
        if key not in self._made:
            self._made[key] = make()
        found: T = self._made[key]
        return found

    def find(self, client: WandbClient, name: str) -> Any:
        """Return what has this name, or ``None`` where it was not made."""
        return self._made.get((client.version, name))

    def open(self, context: AbstractContextManager[T]) -> T:
        """Enter a context that is left after the last test."""
        return self._closing.enter_context(context)
