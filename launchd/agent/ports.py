"""What the job controller needs of the worker pool, of watches and of the outbox; tests put stubs in their places."""

from typing import Protocol

from ipc.messages import Command
from launchd.agent.deliveries import DeliveryBody
from launchd.agent.job_record import JobRecord


class JobWorker(Protocol):
    """A worker process with a job."""

    pid: int
    item_id: str | None
    kill_reason: str | None

    def send(self, command: Command) -> None:
        """Send ``command``; to a worker that is gone it is lost without an error."""
        ...

    def offer(self, command: Command) -> None:
        """Send ``command`` unless that would wait for the worker; then it is lost."""
        ...

    def kill(self, reason: str) -> None:
        """End the worker at once; its exit code comes like any other's."""
        ...

    def reap(self, *, lost: bool) -> None:
        """Release a dead worker; one that was ``lost`` is first made sure to be dead, with what it started."""
        ...


class JobWorkers(Protocol):
    """The worker pool."""

    def worker_of(self, item_id: str) -> JobWorker | None:
        """Return the worker that has the job of this item."""
        ...

    def has_spare(self) -> bool:
        """Return whether a job could be given to a worker at once."""
        ...

    def assign(self, item_id: str) -> JobWorker:
        """Return a spare worker, from now on that of this item's job; there must be one."""
        ...

    def scale_to(self, waiting: int, keep_spares: bool) -> None:
        """Order as many workers as ``waiting`` jobs need, and spare ones on top."""
        ...


class JobWatches(Protocol):
    """Who is told of changes of workloads."""

    def add(self, job: JobRecord, scope: str) -> None:
        """Have the worker of ``job`` told of changes of its workload, which is in ``scope``."""
        ...

    def drop(self, item_id: str) -> None:
        """Tell no worker of the workload of this item any more."""
        ...


class JobReports(Protocol):
    """The outbox: what is told to the queue server."""

    def acknowledge(self, job: JobRecord) -> None:
        """Confirm the item of ``job`` to the queue server; its answer comes back as ``Acknowledged``."""
        ...

    def add(self, job: JobRecord, body: DeliveryBody, now: float) -> None:
        """Tell the queue server ``body`` about ``job``, after the commit and until the server has it."""
        ...

    def has_outcome(self, item_id: str, lease: int) -> bool:
        """Return whether an outcome of this lease of an item is on its way."""
        ...

    def has_refused_outcome(self, item_id: str, lease: int) -> bool:
        """Return whether the queue server refused an outcome of this lease of an item."""
        ...

    def retry_outcomes(self, item_id: str, lease: int) -> None:
        """Send the refused outcomes of this lease of an item again."""
        ...

    def publish_status(self, job: JobRecord) -> None:
        """Tell the queue server the state of ``job``; only the latest one is sent."""
        ...
