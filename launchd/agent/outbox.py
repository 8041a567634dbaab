"""The way out to the queue server, also while there is none.

Holds what the server still has to be told until a reporter can tell it; mirrors
the journal's outbox. Main thread only.
"""

import msgspec

from launchd.agent.job_record import JobRecord
from launchd.agent.journal import Delivery
from launchd.agent.server_link.reporter import Acknowledgement, Reporter
from launchd.agent.server_link.wandb_reports import JobEnd
from launchd.client.queue_server import Report


class Outbox:
    """What goes out. Before :meth:`connect` it only collects."""

    def __init__(self, undelivered: list[Delivery]) -> None:
        self._undelivered = {delivery.id: delivery for delivery in undelivered}
        self._reporter: Reporter | None = None

    def connect(self, reporter: Reporter) -> None:
        """Send through ``reporter`` from now on, beginning with what has collected."""
        self._reporter = reporter
        for delivery in self._undelivered.values():
            reporter.deliver(delivery)

    def acknowledge(self, job: JobRecord) -> None:
        """Confirm the item of ``job`` as ours; unsent ones are the caller's to repeat after :meth:`connect`."""
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
        """Forget rows that have arrived."""
        for delivery_id in ids:
            self._undelivered.pop(delivery_id, None)

    def publish_status(self, job: JobRecord) -> None:
        """Say how a job stands."""
        if self._reporter is not None:
            self._reporter.publish_status(job.agent_id, report_of(job))

    @property
    def waiting(self) -> int:
        """How many rows have not arrived."""
        return len(self._undelivered)

    @property
    def oldest_at(self) -> float | None:
        """Since when the oldest row waits, in seconds since the epoch."""
        return min((delivery.created_at for delivery in self._undelivered.values()), default=None)


def report_of(job: JobRecord) -> Report:
    """Return what the queue server is told of ``job`` as it stands."""
    return Report(
        item_id=job.item_id,
        sequence=job.sequence,
        status=job.status,
        phase=str(job.state),
        message=job.message,
        stage=job.stage,
        exit_code=job.exit_code,
        occurred_at=job.state_at,
    )


def outcome_body(job: JobRecord, directory: str) -> dict[str, object]:
    """Return :func:`report_of` as the journal keeps it, with what W&B's servers ask for beside it."""
    spec = job.spec
    ran = job.may_exist_outside and job.result is not None
    ending = JobEnd(spec.entity, spec.project, spec.run_id, directory, ran, spec.is_scheduler)
    body: dict[str, object] = msgspec.to_builtins(report_of(job))
    return body | {"ending": msgspec.to_builtins(ending)}
