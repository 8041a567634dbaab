"""Repeats a request to the queue server until there is an answer.

Each thread that speaks to the server has one caller. It waits between attempts, tells the main thread whether the
server answers, and stops waiting when the thread is told to end.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from launchd.agent.backoff import Backoff
from launchd.agent.events import EventQueue, ServerContact
from launchd.client.errors import QueueServerError, Refused, SecondIncarnation, ServerBusy, Unauthorized, UnknownAgent

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
JITTER = (0.8, 1.2)

#: The longest that a server's Retry-After is heeded: after more the agent would be taken for dead.
LONGEST_RETRY_AFTER_SECONDS = 300.0

#: How often a request whose refusal loses something is refused before that counts.
REFUSAL_ATTEMPTS = 3

#: The first pause after a refusal that only an administrator can end, a wrong key or a missing queue, and the longest.
MISCONFIGURED_PAUSE_SECONDS = 2.0
LONGEST_MISCONFIGURED_PAUSE_SECONDS = 60.0

#: The shortest time between two events that both say that the server answers.
CONTACT_INTERVAL_SECONDS = 5.0


class Stopped(Exception):
    """The thread was told to end while it waited."""


class RetryingCaller:
    """Repeats the requests of one thread; ``stopped`` is set when the thread is to end."""

    def __init__(self, events: EventQueue, stopped: threading.Event) -> None:
        self._events = events
        self._stopped = stopped
        self._backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, jitter=JITTER)
        self._correction = Backoff(MISCONFIGURED_PAUSE_SECONDS, LONGEST_MISCONFIGURED_PAUSE_SECONDS, jitter=JITTER)
        self._reported_at = -math.inf
        self._error: str | None = None

    def retry_forever(self, ask: Callable[[], T], final: tuple[type[QueueServerError], ...] = (Refused,)) -> T:
        """Return the result of ``ask``, repeated for as long as the server is away, busy or refuses the key.

        Raises:
            QueueServerError: of a class in ``final``; by default ``Refused``.
            Stopped: the thread was told to end meanwhile.
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
        """Return the result of ``ask`` as :meth:`retry_forever` does; the third refusal is the first that counts.

        For requests whose refusal loses something: a server that is being replaced, or a proxy before it, refuses too.
        What the server says of the agent itself counts at once: no other server says so by chance.
        """
        for _ in range(REFUSAL_ATTEMPTS - 1):
            try:
                return self.retry_forever(ask, final)
            except (UnknownAgent, SecondIncarnation):
                raise
            except Refused as error:
                self.wait(self.pause_after(error))
        return self.retry_forever(ask, final)

    def call(self, ask: Callable[[], T], final: tuple[type[QueueServerError], ...] = (Refused,)) -> T:
        """Return the result of ``ask``, called once, and tell the main thread whether there was an answer.

        Raises:
            QueueServerError: raised by ``ask``; one of a class in ``final`` is an answer.
        """
        try:
            answer = ask()
        except final:
            self._report(None)
            raise
        except QueueServerError as error:
            self._report(str(error))
            raise
        self._backoff.reset()
        self._correction.reset()
        self._report(None)
        return answer

    def wait(self, seconds: float) -> None:
        """Wait; raises :class:`Stopped` when the thread is told to end meanwhile."""
        if self._stopped.wait(seconds):
            raise Stopped

    def wait_for_correction(self) -> None:
        """Wait before repeating what only an administrator can correct, longer each time; raises as :meth:`wait`."""
        self.wait(self._correction.next_pause())

    def pause_after(self, error: QueueServerError) -> float:
        """Return how long to wait after ``error`` before the next attempt, in seconds."""
        match error:
            case Unauthorized():
                return self._correction.next_pause()
            case ServerBusy(retry_after=float() as seconds):
                return min(seconds, LONGEST_RETRY_AFTER_SECONDS)
            case _:
                return self._backoff.next_pause()

    def _report(self, error: str | None) -> None:
        now = time.monotonic()
        if error != self._error or now - self._reported_at > CONTACT_INTERVAL_SECONDS:
            self._error, self._reported_at = error, now
            self._events.put(ServerContact(time.time(), error))
