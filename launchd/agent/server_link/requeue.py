"""Puts a preempted run back into its queue: under a key, or where the server knows no keys after a look.

A push whose answer was lost may have been heard, and a second one would be a second run. A server that knows keys takes
the second for the first. At another one the queue is looked through before a push is repeated. Runs on the reporter's
thread.
"""

from typing import Any

from launchd.agent.deliveries import decode_requeue
from launchd.agent.outbox_rows import Delivery
from launchd.agent.server_link.protocol import DeliveryAttempt
from launchd.agent.server_link.retry import REFUSAL_ATTEMPTS, RetryingCaller
from launchd.client.errors import QueueServerError, Refused
from launchd.client.queue_server import Item, QueueServer

#: Pause before the next look whether an item of the queue is the run that may have been pushed.
REQUEUE_RETRY_SECONDS = 10.0

#: How many items of a queue are looked through.
QUEUE_LENGTH = 1000


class KeyedRequeue:
    """Requeues runs at a server that knows keys of pushes."""

    def __init__(self, server: QueueServer, caller: RetryingCaller) -> None:
        self._server = server
        self._caller = caller

    def requeue(self, attempt: DeliveryAttempt) -> float | None:
        """Push the run; returns ``None``. Raises ``Refused`` and ``Stopped``."""
        run = decode_requeue(attempt.delivery.body)
        key = f"after-{attempt.delivery.item_id}"
        self._caller.retry_refusals(lambda: self._server.push(run.entity, run.queue, run.run_spec, key=key))
        return None


class UnkeyedRequeue:
    """Requeues runs at a server that knows no keys of pushes."""

    def __init__(self, server: QueueServer, caller: RetryingCaller) -> None:
        self._server = server
        self._caller = caller
        #: What was in the queue before the last push, by the rows that are not delivered yet.
        self._queue_items_before: dict[int, frozenset[str]] = {}

    def requeue(self, attempt: DeliveryAttempt) -> float | None:
        """Push the run, unless it is in the queue; returns ``None``, or the seconds after which to look again.

        Raises:
            Refused: the server refused the run several times.
            Stopped: the thread was told to end meanwhile.
        """
        try:
            pause = self._requeue(attempt)
        except Refused:
            self._queue_items_before.pop(attempt.delivery.id, None)
            raise
        if pause is None:
            self._queue_items_before.pop(attempt.delivery.id, None)
        return pause

    def _requeue(self, attempt: DeliveryAttempt) -> float | None:
        delivery = attempt.delivery
        run = decode_requeue(delivery.body)
        items = self._caller.retry_refusals(lambda: self._server.queue_items(run.entity, run.queue, QUEUE_LENGTH))
        if attempt.sent_before or delivery.id in self._queue_items_before:
            if _is_among(items, run.run_spec):
                return None
            if self._has_unidentified_item(delivery, items):
                return REQUEUE_RETRY_SECONDS
        self._queue_items_before[delivery.id] = frozenset(item.id for item in items)
        try:
            self._caller.call(lambda: self._server.push(run.entity, run.queue, run.run_spec))
        except Refused as error:
            if attempt.retries >= REFUSAL_ATTEMPTS - 1:
                raise
            return self._caller.pause_after(error)
        except QueueServerError as error:
            return self._caller.pause_after(error)
        return None

    def _has_unidentified_item(self, delivery: Delivery, items: list[Item]) -> bool:
        """Whether there is a new item whose run is not known yet: a W&B server shows no run spec."""
        before = self._queue_items_before.get(delivery.id, frozenset())
        return any(
            item.id not in before and item.associated_run_id is None and item.state in ("PENDING", "LEASED")
            for item in items
        )


def _is_among(items: list[Item], run_spec: dict[str, Any]) -> bool:
    """Whether the requeued run is one of ``items``: its run has had more of them than the times it was put back."""
    same_run = sum(item.associated_run_id == run_spec.get("run_id") for item in items)
    return same_run > int(run_spec.get("_resume_count") or 0)
