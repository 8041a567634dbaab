"""Claims items while there are permits for them.

One thread for each kind of slot that the server's protocol claims for apart. It hands claimed items over to the main
thread. An item whose slot has gone during the claim waits for a permit; its lease may end meanwhile, and then its
acknowledgement is refused. What is left when the poller is stopped is given back.
"""

import contextlib
import threading
import time
from collections.abc import Sequence

from launchd.agent.events import (
    Claimed,
    EventQueue,
    Polled,
    Registered,
    RegistrationLost,
    RegistrationRefused,
    SlotKind,
)
from launchd.agent.server_link.permits import SlotPermits
from launchd.agent.server_link.protocol import LinkContext, LinkSettings, ServerProtocol
from launchd.agent.server_link.retry import RetryingCaller, Stopped
from launchd.client.errors import Refused, SecondIncarnation, UnknownAgent
from launchd.client.queue_server import ClaimedItem


class Poller(threading.Thread):
    """Claims items of one kind, as a registered agent, until told to end."""

    def __init__(
        self,
        protocol: ServerProtocol,
        kind: SlotKind,
        permits: SlotPermits,
        registered: Registered,
        settings: LinkSettings,
        events: EventQueue,
    ) -> None:
        super().__init__(name=f"poller-{kind}", daemon=True)
        self._kind = kind
        self._permits = permits
        self._agent_id = registered.agent_id
        self._is_lost = False
        self._events = events
        self._stopped = threading.Event()
        self._caller = RetryingCaller(events, self._stopped)
        self._claimer = protocol.claimer(kind, LinkContext(registered, settings, events, self._caller))

    def end(self) -> None:
        """Claim no more; what an open request still brings is given back."""
        self._stopped.set()
        self._permits.wake()

    def run(self) -> None:
        """Claim until told to end."""
        with contextlib.suppress(Stopped):
            while True:
                self._claim_once(self._permits.wait(self._stopped))

    def _claim_once(self, limit: int) -> None:
        begun = time.monotonic()
        try:
            result = self._claimer.claim(limit, self._permits.gpus)
        except (UnknownAgent, SecondIncarnation) as error:
            self._note_loss(str(error))
            self._caller.wait_for_correction()
            return
        except Refused as error:
            self._events.put(RegistrationRefused(str(error)))
            self._caller.wait_for_correction()
            return
        self._events.put(Polled(time.monotonic() - begun, len(result.items)))
        if result.items:
            self._hand_over(result.items)
        elif self._permits.wait_for_more(limit, result.pause_seconds, self._stopped):
            self._claimer.reset_pause()

    def _note_loss(self, reason: str) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._events.put(RegistrationLost(self._agent_id, reason))

    def _hand_over(self, items: Sequence[ClaimedItem]) -> None:
        left = items
        try:
            while left:
                taken = self._permits.take(len(left), self._stopped)
                if taken:
                    self._events.put(Claimed(tuple(left[:taken]), self._agent_id, self._kind))
                    left = left[taken:]
                else:
                    self._permits.wait(self._stopped)
        except Stopped:
            self._claimer.give_back(left)
            raise
