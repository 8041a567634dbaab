"""What the queue server still has to be told.

Mirrors the outbox of the journal and hands its rows to the reporter once there is one. Main thread only.
"""

from launchd.agent.deliveries import report_of
from launchd.agent.job_record import JobRecord
from launchd.agent.journal import Delivery
from launchd.agent.server_link.protocol import Acknowledgement
from launchd.agent.server_link.reporter import Reporter


class Outbox:
    """Undelivered rows, and the way to the reporter. Until :meth:`connect` it only collects."""

    def __init__(self, undelivered: list[Delivery]) -> None:
        self._undelivered = {delivery.id: delivery for delivery in undelivered}
        self._reporter: Reporter | None = None

    def connect(self, reporter: Reporter) -> None:
        """Send through ``reporter`` from now on, beginning with the rows that have collected."""
        if reporter is self._reporter:
            return
        self._reporter = reporter
        for delivery in self._undelivered.values():
            reporter.deliver(delivery)

    def acknowledge(self, job: JobRecord) -> None:
        """Acknowledge the item of ``job``. Before :meth:`connect` nothing is sent; the caller repeats it afterwards."""
        if self._reporter is not None:
            spec = job.spec
            self._reporter.acknowledge(
                Acknowledgement(
                    job.item_id, job.agent_id, spec.run_id, spec.entity, spec.project, job.queue, spec.sweep_id
                )
            )

    def deliver(self, delivery: Delivery) -> None:
        """Send a row of the outbox."""
        self._undelivered[delivery.id] = delivery
        if self._reporter is not None:
            self._reporter.deliver(delivery)

    def delivered(self, ids: tuple[int, ...]) -> None:
        """Forget rows that were delivered, or refused for good."""
        for delivery_id in ids:
            self._undelivered.pop(delivery_id, None)

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
