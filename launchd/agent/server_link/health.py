"""The connection to the queue server: whether it answers, accepts the agent, and gives items of each queue.

Keeps what the threads of the server link report, and logs each change once. Main thread only.
"""

import logging
import time

from launchd.agent.events import Registered, ServerContact

#: What keeps an agent from its work is logged again after this time, in seconds.
REPEAT_SECONDS = 60.0

log = logging.getLogger(__name__)


class ServerHealth:
    """The supervisor's view of its queue server."""

    def __init__(self) -> None:
        self.contact: ServerContact | None = None
        self._began_at = time.monotonic()
        self._answered_at: float | None = None
        self._refusal: str | None = None
        self._refusal_logged_at = 0.0
        self._warned_of_team: str | None = None
        self._queue_problems: dict[str, str] = {}

    def note_contact(self, contact: ServerContact) -> None:
        """Note that the server answered, or did not."""
        before = self.contact.error if self.contact else None
        if contact.error is None:
            self._answered_at = time.monotonic()
            if before is not None:
                log.info("The queue server answers again.")
        elif contact.error != before:
            log.warning("The queue server does not answer; running jobs go on.", extra={"error": contact.error})
        self.contact = contact

    def was_reached_within(self, seconds: float) -> bool:
        """Return whether the last answer, or without any the agent's start, is less than ``seconds`` ago."""
        silence = self.seconds_since_answer
        return (time.monotonic() - self._began_at if silence is None else silence) < seconds

    @property
    def seconds_since_answer(self) -> float | None:
        """The seconds since the last answer, by a clock that never jumps; ``None`` before the first answer."""
        return None if self._answered_at is None else time.monotonic() - self._answered_at

    def note_registration(self, registered: Registered) -> None:
        """Note that the agent is registered, which ends all earlier refusals."""
        self._refusal = None
        self._queue_problems.clear()
        log.info(
            "The agent is registered at the queue server.",
            extra={"agent": registered.agent_name, "entity": registered.entity},
        )
        if registered.for_team and registered.entity != self._warned_of_team:
            # As W&B's agent does, but once, however often the agent registers.
            self._warned_of_team = registered.entity
            log.warning(
                "The entity is a team: everyone who may push to its queues can run code on this host.",
                extra={"entity": registered.entity},
            )

    def note_refusal(self, error: str) -> None:
        """Note that the server refuses the agent as configured; the same reason is logged once a minute."""
        now = time.monotonic()
        if error != self._refusal or now - self._refusal_logged_at >= REPEAT_SECONDS:
            self._refusal_logged_at = now
            log.error(
                "The queue server refuses this agent; it is asked again, running jobs go on.", extra={"why": error}
            )
        self._refusal = error

    def note_queue(self, queue: str, error: str | None) -> None:
        """Note that the server refuses to give items of ``queue``, or gives them again (``error`` is ``None``)."""
        if error is None:
            self._queue_problems.pop(queue, None)
            log.info("The queue server gives items of a queue again.", extra={"queue": queue})
        else:
            self._queue_problems[queue] = f"Queue {queue}: {error}"
            log.error("The queue server refuses to give items of a queue.", extra={"queue": queue, "why": error})

    @property
    def problem(self) -> str | None:
        """Why the server gives no items, as a sentence; ``None`` where it does."""
        return self._refusal or next(iter(self._queue_problems.values()), None)
