"""What the queue server still has to be told.

Mirrors the outbox of the journal, without what the server will not take, and hands its rows to the reporter once there
is one. Main thread only.
"""

from collections.abc import Iterable

from launchd.agent.deliveries import JobOutcome, decode_outcome, report_of
from launchd.agent.job_record import JobRecord
from launchd.agent.outbox_rows import Delivery
from launchd.agent.server_link.protocol import Acknowledgement
from launchd.agent.server_link.reporter import Reporter
from launchd.client.queue_server import HeldItem


class Outbox:
    """Undelivered rows, and the way to the reporter. Until :meth:`connect` it only collects."""

    def __init__(self, undelivered: list[Delivery]) -> None:
        """``undelivered`` are the rows of an earlier process, which may have arrived."""
        #: Changes with the rows.
        self.version = 0
        self._undelivered: dict[int, Delivery] = {}
        self._sent_before: set[int] = set()
        self._held: dict[int, HeldItem] = {}
        self._reporter: Reporter | None = None
        self.retry(undelivered)

    def connect(self, reporter: Reporter) -> None:
        """Send through ``reporter`` from now on, beginning with the rows that have collected."""
        if reporter is self._reporter:
            return
        self._reporter = reporter
        for delivery in self._undelivered.values():
            reporter.deliver(delivery, sent_before=delivery.id in self._sent_before)

    def acknowledge(self, job: JobRecord) -> None:
        """Acknowledge the item of ``job``. Before :meth:`connect` nothing is sent; the caller repeats it afterwards."""
        if self._reporter is not None:
            spec = job.spec
            self._reporter.acknowledge(
                Acknowledgement(
                    job.item_id,
                    job.agent_id,
                    spec.run_id,
                    spec.entity,
                    spec.project,
                    job.queue,
                    spec.sweep_id,
                    job.lease,
                )
            )

    def hold(self, delivery: Delivery) -> None:
        """Hold the item of a row that is not committed yet, so that heartbeats name it without a gap."""
        held = _held_item(delivery)
        if held is not None:
            self._held[delivery.id] = held
        self.version += 1

    def has_outcome(self, item_id: str, lease: int) -> bool:
        """Return whether an undelivered outcome is about this lease of an item."""
        return any((held.item_id, held.lease) == (item_id, lease) for held in self._held.values())

    def deliver(self, delivery: Delivery) -> None:
        """Send a new row of the outbox."""
        self._add(delivery)
        if self._reporter is not None:
            self._reporter.deliver(delivery)

    def retry(self, deliveries: Iterable[Delivery]) -> None:
        """Send rows again that the server did not take, or that an earlier process may have sent."""
        for delivery in deliveries:
            self._add(delivery)
            self._sent_before.add(delivery.id)
            if self._reporter is not None:
                self._reporter.deliver(delivery, sent_before=True)

    def delivered(self, ids: tuple[int, ...]) -> None:
        """Forget rows that were delivered."""
        self._remove(ids)

    def refused(self, ids: tuple[int, ...]) -> None:
        """Forget rows that the server will not take; the journal keeps them."""
        self._remove(ids)

    def held(self) -> tuple[HeldItem, ...]:
        """Return the items whose outcome is undelivered: the server still has them as this agent's."""
        return tuple(self._held.values())

    def _add(self, delivery: Delivery) -> None:
        self._undelivered[delivery.id] = delivery
        self.hold(delivery)

    def _remove(self, ids: tuple[int, ...]) -> None:
        for delivery_id in ids:
            self._undelivered.pop(delivery_id, None)
            self._held.pop(delivery_id, None)
            self._sent_before.discard(delivery_id)
        self.version += 1

    def publish_status(self, job: JobRecord) -> None:
        """Report the present state of ``job``; such a report is not kept."""
        if self._reporter is not None:
            self._reporter.publish_status(job.agent_id, report_of(job))

    @property
    def waiting(self) -> int:
        """How many rows are undelivered."""
        return len(self._undelivered)

    @property
    def oldest_at(self) -> float | None:
        """When the oldest undelivered row was made, in seconds since the epoch."""
        return min((delivery.created_at for delivery in self._undelivered.values()), default=None)


def _held_item(delivery: Delivery) -> HeldItem | None:
    """Return the item that the outcome in a row is about; ``None`` for another row, and for one that is damaged."""
    if delivery.kind != JobOutcome.kind:
        return None
    try:
        outcome = decode_outcome(delivery.body)
    except ValueError:
        return None
    run_id = outcome.end.run_id if outcome.end is not None else None
    return HeldItem(delivery.item_id, outcome.report.lease or 0, run_id, acknowledged=True)
