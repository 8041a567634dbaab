"""What agent and server disagree about, as the answers to heartbeats say.

An answer may be about items that were acknowledged while the heartbeat was on its way. So a difference counts once two
answers in a row have it, the second to a list of items made after the first. Pure but for the clock.
"""

import time
from collections.abc import Callable

import msgspec

from launchd.client.queue_server import AgentCommands, HeldByServer

#: How often a difference that stays is told again.
REPEAT_SECONDS = 10.0


class Confirmed(msgspec.Struct, frozen=True):
    """Differences that count: items that are unknown to the agent, and whether it has to resume."""

    unknown: tuple[HeldByServer, ...] = ()
    must_resume: bool = False


class Differences:
    """The differences in the last answer, and those that were told."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unknown: frozenset[HeldByServer] = frozenset()
        self._told: frozenset[HeldByServer] = frozenset()
        self._told_at = 0.0
        self._must_resume = False
        #: Whether the last answer has a difference that the next one will confirm or not.
        self.is_in_doubt = False

    def note(self, commands: AgentCommands) -> Confirmed:
        """Take note of an answer; returns what the one before had too and is to be told now."""
        unknown = frozenset(commands.unknown_to_agent)
        due = self._due(unknown & self._unknown)
        must_resume = commands.must_resume and self._must_resume
        self._told &= unknown
        self.is_in_doubt = bool(unknown - self._told) or commands.must_resume != must_resume
        self._unknown, self._must_resume = unknown, commands.must_resume
        return Confirmed(tuple(one for one in commands.unknown_to_agent if one in due), must_resume)

    def _due(self, confirmed: frozenset[HeldByServer]) -> frozenset[HeldByServer]:
        now = self._clock()
        if confirmed <= self._told and now - self._told_at < REPEAT_SECONDS:
            return frozenset()
        self._told, self._told_at = confirmed, now
        return confirmed
