"""What the queue server still has to be told: the rows of the journal's outbox, and what of them the reporter has.

The only writer of those rows: what changes on disk changes in memory with it. Main thread only.
"""

from collections.abc import Sequence

from ipc.messages import plain
from launchd.agent.deliveries import DeliveryBody, JobOutcome, body_fields, decode_outcome, report_of
from launchd.agent.job_record import JobRecord
from launchd.agent.journal import Journal
from launchd.agent.outbox_rows import Delivery, OutboxRows, RefusedDelivery
from launchd.agent.server_link.protocol import Acknowledgement
from launchd.agent.server_link.reporter import Reporter
from launchd.client.queue_server import HeldItem


class Outbox:
    """The outbox of one journal, and the way to the reporter. Until :meth:`connect` it only collects.

    What is read or changed raises :class:`~launchd.agent.journal_file.JournalError` where the journal cannot be read.
    """

    def __init__(self, journal: Journal) -> None:
        """Take up what an earlier process left undelivered, which may have arrived."""
        #: Changes with the rows.
        self.version = 0
        self._journal = journal
        self._rows = OutboxRows(journal)
        #: Rows that wait for the commit, and those that may be sent.
        self._uncommitted: dict[int, Delivery] = {}
        self._undelivered: dict[int, Delivery] = {}
        self._sent_before: set[int] = set()
        self._held: dict[int, HeldItem] = {}
        self._reporter: Reporter | None = None
        for delivery in self._rows.undelivered():
            self._hold(delivery)
            self._send(delivery, sent_before=True)

    def connect(self, reporter: Reporter) -> None:
        """Send through ``reporter`` from now on, beginning with the rows that have collected."""
        if reporter is self._reporter:
            return
        self._reporter = reporter
        for delivery in self._undelivered.values():
            reporter.deliver(delivery, sent_before=delivery.id in self._sent_before)

    # -- what is not kept

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

    def publish_status(self, job: JobRecord) -> None:
        """Report the present state of ``job``; such a report is not kept."""
        if self._reporter is not None:
            self._reporter.publish_status(job.agent_id, report_of(job))

    # -- rows

    def add(self, job: JobRecord, body: DeliveryBody, now: float) -> None:
        """Keep ``body`` about ``job``, and send it after the commit; ``now`` is in seconds since the epoch."""
        delivery = self._rows.add(job, body.kind, body_fields(body), now)
        self._uncommitted[delivery.id] = delivery
        # At once, so that heartbeats name its item without a gap.
        self._hold(delivery)
        self._journal.on_commit(lambda: self._send(delivery, sent_before=False))

    def delivered(self, ids: tuple[int, ...]) -> None:
        """Forget rows that were delivered."""
        self._rows.remove(ids)
        self._forget(ids)

    def refused(self, ids: tuple[int, ...], reason: str, now: float) -> None:
        """Keep rows as dead letters, which the server will not take for ``reason``."""
        self._rows.set_refused(ids, plain(reason), now)
        # Not before they are found as dead letters: else an item could seem to have no outcome.
        self._journal.on_commit(lambda: self._forget(ids))

    def retry(self, ids: Sequence[int] | None) -> int:
        """Send these dead letters, or all of them, again; returns how many they are."""
        letters = self._rows.retry(ids)
        for delivery in letters:
            self._hold(delivery)
            self._send(delivery, sent_before=True)
        self._journal.request_commit()
        return len(letters)

    def drop(self, ids: Sequence[int] | None) -> tuple[Delivery, ...]:
        """Forget these dead letters, or all of them, and return them."""
        letters = self._rows.drop(ids)
        self.version += 1
        self._journal.request_commit()
        return tuple(letters)

    def retry_outcomes(self, item_id: str, lease: int) -> None:
        """Send the refused outcomes of this lease of an item again."""
        refused = self._rows.refused_outcomes(item_id, lease)
        if refused:
            self.retry(refused)

    # -- what there is

    def has_outcome(self, item_id: str, lease: int) -> bool:
        """Return whether an undelivered outcome is about this lease of an item."""
        return any((held.item_id, held.lease) == (item_id, lease) for held in self._held.values())

    def has_refused_outcome(self, item_id: str, lease: int) -> bool:
        """Return whether a dead letter is an outcome of this lease of an item."""
        return bool(self._rows.refused_outcomes(item_id, lease))

    def held(self) -> tuple[HeldItem, ...]:
        """Return the items whose outcome is undelivered: the server still has them as this agent's."""
        return tuple(self._held.values())

    def undelivered(self) -> list[Delivery]:
        """Return the rows that are to be delivered, as they are on disk, the oldest first."""
        return self._rows.undelivered()

    def refused_deliveries(self) -> list[RefusedDelivery]:
        """Return the rows that the queue server refused, as they are on disk, the oldest first."""
        return self._rows.refused()

    def count_refused(self) -> int:
        """Return how many rows the queue server refused, as they are on disk."""
        return self._rows.count_refused()

    @property
    def waiting(self) -> int:
        """How many rows are undelivered, also of those that wait for the commit."""
        return len(self._uncommitted) + len(self._undelivered)

    @property
    def oldest_at(self) -> float | None:
        """When the oldest undelivered row was made, in seconds since the epoch."""
        rows = (*self._uncommitted.values(), *self._undelivered.values())
        return min((delivery.created_at for delivery in rows), default=None)

    # -- in memory

    def _hold(self, delivery: Delivery) -> None:
        held = _held_item(delivery)
        if held is not None:
            self._held[delivery.id] = held
        self.version += 1

    def _send(self, delivery: Delivery, *, sent_before: bool) -> None:
        self._uncommitted.pop(delivery.id, None)
        self._undelivered[delivery.id] = delivery
        if sent_before:
            self._sent_before.add(delivery.id)
        if self._reporter is not None:
            self._reporter.deliver(delivery, sent_before=sent_before)

    def _forget(self, ids: tuple[int, ...]) -> None:
        for delivery_id in ids:
            self._undelivered.pop(delivery_id, None)
            self._held.pop(delivery_id, None)
            self._sent_before.discard(delivery_id)
        self.version += 1


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
