"""What may be done only once the journal has the change it depends on. Main thread only."""

from collections.abc import Callable

Effect = Callable[[], None]


class CommitHooks:
    """Collects effects until :meth:`release`, which is called right after each successful commit."""

    def __init__(self) -> None:
        self._waiting: list[Effect] = []
        self._urgent = False

    def add(self, effect: Effect) -> None:
        """Have ``effect`` done after the next commit."""
        self._waiting.append(effect)

    def request_commit(self) -> None:
        """Ask for a commit now: nothing waits for it, but what changed must not be forgotten."""
        self._urgent = True

    @property
    def due(self) -> bool:
        """Whether the next commit must not wait."""
        return bool(self._waiting) or self._urgent

    def run(self) -> None:
        """Do what waited for the journal."""
        self._urgent = False
        effects, self._waiting = self._waiting, []
        for effect in effects:
            effect()
