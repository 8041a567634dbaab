"""Keeps an unexpected error with the event, request or task that raised it: the agent goes on with the next one."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: The same error of the same task is logged with its traceback once in this many seconds.
REPEATED_ERROR_SECONDS = 60.0

log = logging.getLogger(__name__)


class Barrier:
    """A border around each task of a loop. Errors of the classes in ``passing`` end the loop all the same."""

    def __init__(self, *passing: type[Exception]) -> None:
        self._passing = passing
        self._logged_at: dict[tuple[str, str], float] = {}

    @contextmanager
    def around(self, task: str) -> Iterator[None]:
        """Log what ``task`` raises, and go on after it."""
        try:
            yield
        except self._passing:
            raise
        except Exception as error:  # noqa: BLE001 - logged, and the next task may succeed
            self._log(task, error)

    def _log(self, task: str, error: Exception) -> None:
        key, now = (task, repr(error)), time.monotonic()
        if now - self._logged_at.get(key, -REPEATED_ERROR_SECONDS) < REPEATED_ERROR_SECONDS:
            return
        # Those that were not repeated are forgotten: there is no end of different ones.
        self._logged_at = {at: when for at, when in self._logged_at.items() if now - when < REPEATED_ERROR_SECONDS}
        self._logged_at[key] = now
        log.error("The agent met an unexpected error and goes on.", extra={"task": task}, exc_info=error)
