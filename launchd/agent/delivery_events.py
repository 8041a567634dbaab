"""What became of rows of the outbox at the queue server, until the outbox has acted on it. Main thread only.

The reporter says so once. What an unexpected error kept the outbox from is done later by the same process: else the row
would stay until the next start of the agent, which a draining one never comes to.
"""

import logging
import time

from ipc.failpoints import hit
from launchd.agent.events import Delivered, DeliveryEvent, Undeliverable
from launchd.agent.outbox import Outbox

log = logging.getLogger(__name__)


class DeliveryEvents:
    """The events about rows of ``outbox`` that it has not acted on. No row is sent again because of them."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._left: list[DeliveryEvent] = []

    def on_event(self, event: DeliveryEvent) -> None:
        """Have the outbox act on ``event``; what that raises is raised, and :meth:`take_up` tries again."""
        self._left.append(event)
        self._act_on(event)
        self._left.remove(event)

    def take_up(self) -> None:
        """Have the outbox act on what is left, each event once; raises what one of them raised, after the last."""
        failure: Exception | None = None
        for event in tuple(self._left):
            try:
                self._act_on(event)
            except Exception as error:  # noqa: BLE001 - raised below, when the others have had their turn
                failure = error
            else:
                self._left.remove(event)
        if failure is not None:
            raise failure

    def _act_on(self, event: DeliveryEvent) -> None:
        match event:
            case Delivered(ids):
                hit("supervisor.reported")
                self._outbox.delivered(ids)
            case Undeliverable(ids, reason):
                self._outbox.refused(ids, reason, time.time())
                log.error(
                    "The queue server does not take what it was told; `launchd outbox` shows it.",
                    extra={"why": reason, "deliveries": list(ids)},
                )
