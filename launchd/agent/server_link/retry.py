"""Asking the queue server again and again until it answers.

Shared by the threads that speak to the server: they wait, tell the main thread
how it stands, and stop waiting when they are told to end.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from launchd.agent.events import EventQueue, ServerContact
from launchd.client.errors import QueueServerError, Refused, ServerBusy, Unauthorized

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0

#: The longest that a server's Retry-After is heeded: longer, and somebody would think that we are gone.
LONGEST_RETRY_AFTER_SECONDS = 300.0

#: How often something that must not be lost is said before a refusal counts.
REFUSAL_ATTEMPTS = 3

#: A person has to mend a refused key; until then we ask no oftener than this.
UNAUTHORIZED_PAUSE_SECONDS = 30.0

#: News of an answer that follow each other faster than this are not worth a wake-up.
CONTACT_INTERVAL_SECONDS = 5.0


class Stopped(Exception):
    """The thread was told to end while it waited."""


class RetryingCaller:
    """One thread's standing with the queue server."""

    def __init__(self, events: EventQueue, ended: threading.Event) -> None:
        self._events = events
        self._stopped = ended
        self._pause = FIRST_PAUSE_SECONDS
        self._reported_at = 0.0
        self._error: str | None = None

    def retry_forever(self, ask: Callable[[], T], final: tuple[type[QueueServerError], ...] = (Refused,)) -> T:
        """Return what ``ask`` returns, asking for ever while the server is away, busy or refuses the key.

        Raises:
            QueueServerError: of a class in ``final``; as a rule ``Refused``, the server said no.
            Ended: the thread was told to end meanwhile.
        """
        while not self._stopped.is_set():
            try:
                return self.call(ask, final)
            except final:
                raise
            except QueueServerError as error:
                self.wait(self.pause_after(error))
        raise Stopped

    def retry_refusals(self, ask: Callable[[], T], final: tuple[type[QueueServerError], ...] = (Refused,)) -> T:
        """Return what ``ask`` returns, as :meth:`until_answered`, taking no for an answer only the third time.

        For what would be lost by a refusal: a server that is being replaced, or a proxy before it, says no as well.
        """
        for _ in range(REFUSAL_ATTEMPTS - 1):
            try:
                return self.retry_forever(ask, final)
            except Refused as error:
                self.wait(self.pause_after(error))
        return self.retry_forever(ask, final)

    def call(self, ask: Callable[[], T], final: tuple[type[QueueServerError], ...] = (Refused,)) -> T:
        """Return what ``ask`` returns, telling the main thread whether there was an answer; raises what it raises."""
        try:
            answer = ask()
        except final:
            self._report(None)
            raise
        except QueueServerError as error:
            self._report(str(error))
            raise
        self._pause = FIRST_PAUSE_SECONDS
        self._report(None)
        return answer

    def wait(self, seconds: float) -> None:
        """Wait; raises :class:`Ended` when the thread is told to end meanwhile."""
        if self._stopped.wait(seconds):
            raise Stopped

    def pause_after(self, error: QueueServerError) -> float:
        """Return how long to wait after ``error`` before asking again, in seconds."""
        match error:
            case Unauthorized():
                return UNAUTHORIZED_PAUSE_SECONDS
            case ServerBusy(retry_after=float() as seconds):
                return min(seconds, LONGEST_RETRY_AFTER_SECONDS)
            case _:
                return self._growing_pause()

    def _growing_pause(self) -> float:
        pause = self._pause
        self._pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        # Agents that lost the same server must not come back in step.
        return pause * random.uniform(0.8, 1.2)  # noqa: S311 - nobody gains by guessing it

    def _report(self, error: str | None) -> None:
        now = time.time()
        if error != self._error or now - self._reported_at > CONTACT_INTERVAL_SECONDS:
            self._error, self._reported_at = error, now
            self._events.put(ServerContact(now, error))
