"""The active jobs of a supervisor: their records, and what only this process knows of them.

Plain data; :mod:`launchd.agent.job_controller` decides. What must survive the supervisor stands in the record.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ipc.errors import ErrorReport, InvalidSpec
from ipc.gpus import GpuRequest, gpu_request
from ipc.messages import Failed, Finished
from launchd.agent.job_record import JobRecord


@dataclass
class ActiveJob:
    """One job that is not over. Times are monotonic seconds.

    ``assign_at`` says when it is to get a worker, and is ``None`` while it has one, which it got at ``assigned_at``;
    ``phase_at`` is when it came into its state, or when this process took it over. ``confirmed``: the queue server
    said to this process that the item is this agent's; ``lease_lost``: that it is another's, or has ended, so that
    nothing may be created for it. ``awaiting_submit``: its worker waits for the permission to create the workload.
    ``adopting``: no worker has been heard since the restart of the agent. ``reported_outcome`` is what its worker said,
    until the worker has left with exit code 0; ``timeout_error`` says why its worker was ended. ``gpus_asked`` is what
    it asks for, ``waits_for_gpus`` that it is ready but for that; ``gpus_judged`` is the inventory by which it may get
    that some day; ``gpus_settled``: it is known which GPUs it had when this process took it over.
    """

    job: JobRecord
    assign_at: float | None = 0.0
    assigned_at: float = 0.0
    phase_at: float = 0.0
    confirmed: bool = False
    lease_lost: bool = False
    awaiting_submit: bool = False
    adopting: bool = False
    reported_outcome: Finished | Failed | None = None
    timeout_error: ErrorReport | None = None
    gpus_asked: GpuRequest | None = field(init=False)
    waits_for_gpus: bool = False
    gpus_judged: int = -2
    gpus_settled: bool = False

    def __post_init__(self) -> None:
        self.gpus_asked = _asked_by(self.job)


def _asked_by(job: JobRecord) -> GpuRequest | None:
    try:
        return gpu_request(job.spec)
    except InvalidSpec:
        # Admitted by a version that did not read it.
        return None


class JobTable:
    """The jobs of this supervisor that are not over, by item id, in the order in which they came. Main thread only."""

    def __init__(self) -> None:
        self._active: dict[str, ActiveJob] = {}
        #: Grows whenever a job comes, goes or changes in its record.
        self.version = 0

    def __iter__(self) -> Iterator[ActiveJob]:
        # A copy: jobs may end while they are gone through.
        return iter(tuple(self._active.values()))

    def __len__(self) -> int:
        return len(self._active)

    def get(self, item_id: str | None) -> ActiveJob | None:
        """Return the active job of an item."""
        return self._active.get(item_id or "")

    def put(self, active: ActiveJob) -> None:
        """Add ``active``, or note that its record has changed."""
        self.version += 1
        self._active[active.job.item_id] = active

    def remove(self, item_id: str) -> None:
        """Remove the job of an item, if it is there."""
        self.version += 1
        self._active.pop(item_id, None)

    def jobs(self) -> list[JobRecord]:
        """Return the records of all active jobs."""
        return [active.job for active in self._active.values()]

    def find(self, word: str) -> JobRecord | None:
        """Return the active job with this item id, run id or workload name."""
        active = self._active.get(word)
        if active is not None:
            return active.job
        return next((job for job in self.jobs() if word in (job.spec.run_id, job.name)), None)

    def count(self, schedulers: bool) -> int:
        """Return how many slots are taken, by ordinary jobs or by sweep schedulers."""
        return sum(job.spec.is_scheduler is schedulers for job in self.jobs())
