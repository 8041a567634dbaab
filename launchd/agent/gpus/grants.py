"""Which of the jobs that wait for GPUs get some, and what the others are told. Main thread only.

Jobs get GPUs in the order in which they came. Free ones that an earlier job can use are kept for it, so that no job is
passed for ever; those that it cannot use go to later ones. A job that waits has no worker, and can be stopped.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from ipc.errors import ErrorReport
from ipc.gpus import Gpu, GpuRequest, GpuSummary
from ipc.states import JobState
from ipc.work_order import read_order
from launchd.agent.clock import Clock
from launchd.agent.gpus.pool import GpuPool
from launchd.agent.job_ends import JobEnds
from launchd.agent.job_record import JobRecord, transition
from launchd.agent.job_table import ActiveJob, JobTable
from launchd.agent.journal import Journal
from launchd.agent.record_writer import RecordWriter, log_fields

log = logging.getLogger(__name__)


class GpuGrants:
    """Gives GPUs to jobs. Without a ``pool`` this host gives out none, for the reason in ``why_none``."""

    def __init__(
        self,
        pool: GpuPool | None,
        why_none: str,
        table: JobTable,
        records: RecordWriter,
        ends: JobEnds,
        publish: Callable[[JobRecord], None],
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._why_none = why_none
        self._table = table
        self._records = records
        self._ends = ends
        self._publish = publish
        self._clock = clock
        self._seen = (-1, -1)
        #: The inventory by which the waiting jobs were last judged.
        self._judged = -2

    def restore(self, journal: Journal) -> None:
        """Take back, after a start, the GPUs of jobs that are over."""
        if self._pool is None:
            return
        for lease in self._pool.leases():
            if self._table.get(lease.item_id) is None:
                self._pool.settle(lease.item_id, journal.job(lease.item_id))

    @property
    def is_due(self) -> bool:
        """Whether a waiting job may get GPUs now."""
        return self._pool is not None and self._versions() != self._seen and bool(self.waiting())

    def waiting(self) -> list[ActiveJob]:
        """Return the jobs that wait for GPUs, in their order."""
        return [active for active in self._table if active.waits_for_gpus]

    def give(self) -> None:
        """Give the jobs that wait what is free."""
        if self._versions() == self._seen:
            return
        asking = [active for active in self._table if active.gpus_asked is not None]
        if self._pool is not None:
            self._adopt(self._pool, asking)
        self._give_in_order(asking)
        self._seen = self._versions()

    def summary(self) -> GpuSummary:
        """Return what the queue server is told of the GPUs: a host that gives out none has none."""
        return GpuSummary() if self._pool is None else self._pool.summary()

    @property
    def is_owing(self) -> bool:
        """Whether what is free is for jobs that there are: one waits, or it is not known yet what there is."""
        return bool(self.waiting()) or (self._pool is not None and not self._pool.is_known)

    @property
    def version(self) -> tuple[int, int]:
        """Another one when :meth:`summary` or :attr:`is_owing` may have changed."""
        return self._versions()

    def _versions(self) -> tuple[int, int]:
        return self._table.version, -1 if self._pool is None else self._pool.version

    def _needs_gpus(self, active: ActiveJob) -> bool:
        has_some = self._pool is not None and self._pool.lease_of(active.job.item_id) is not None
        return not has_some and not active.job.may_exist_outside and active.assign_at is not None

    def _give_in_order(self, asking: Iterable[ActiveJob]) -> None:
        free = [] if self._pool is None or not self._pool.is_known else self._pool.free()
        inventory = -1 if self._pool is None else self._pool.inventory
        is_same = inventory == self._judged
        refused: set[GpuRequest] = set()
        for active in asking:
            # Most of many jobs wait as before.
            is_judged = active.waits_for_gpus and is_same
            if (is_judged and not free) or not (active.waits_for_gpus or self._needs_gpus(active)):
                continue
            request = active.gpus_asked
            if request is not None and (is_judged or not self._is_hopeless(active, request)):
                free = self._consider(active, request, free, refused)
        self._judged = inventory

    def _is_hopeless(self, active: ActiveJob, request: GpuRequest) -> bool:
        """Return whether no waiting will bring a job what it asks for; it fails then."""
        why = self._why_never(request)
        if why is not None:
            with self._records.border(active.job.item_id):
                self._ends.fail(active, ErrorReport("agent", "NoSuchGpus", why, "Launch it where there are some."))
        return why is not None

    def _why_never(self, request: GpuRequest) -> str | None:
        if self._pool is None:
            return f"The job asks for {request.words()}, and the agent of this host gives out none: {self._why_none}"
        return self._pool.why_never(request)

    def _consider(self, active: ActiveJob, request: GpuRequest, free: list[Gpu], refused: set[GpuRequest]) -> list[Gpu]:
        """Give a job what it asks for out of ``free``, or have it wait; return what is left for later jobs."""
        pool = self._pool
        gpus = pool.find(free, request) if pool is not None and free and request not in refused else None
        if pool is not None and gpus is not None:
            self._give_to(active, pool, gpus)
            return [gpu for gpu in free if gpu not in gpus]
        if not active.waits_for_gpus:
            self._have_wait(active, request)
        if request in refused:
            return free
        refused.add(request)
        return _without_kept(free, request)

    def _give_to(self, active: ActiveJob, pool: GpuPool, gpus: tuple[Gpu, ...]) -> None:
        with self._records.border(active.job.item_id):
            pool.give(active.job, gpus)
            active.waits_for_gpus = False

    def _have_wait(self, active: ActiveJob, request: GpuRequest) -> None:
        active.waits_for_gpus = True
        with self._records.border(active.job.item_id):
            sentence = f"It waits for {request.words()}."
            log.info("A job waits for GPUs.", extra=log_fields(active.job) | {"why": sentence})
            job = transition(active.job, JobState.CLAIMED, self._clock.now(), sentence)
            self._records.save(job)
            self._records.after_commit(job.item_id, lambda: self._publish(job), lazy=True)

    # -- for people

    @property
    def problem(self) -> str | None:
        """Why the GPUs of this host cannot be looked at, as a sentence."""
        return None if self._pool is None else self._pool.problem

    def status(self) -> dict[str, Any]:
        """Return what `launchd status` shows of GPUs: those there are, or why the agent gives out none."""
        pool = self._pool
        if pool is None:
            return {"managed": False, "why": self._why_none, "gpus": [], "waiting": 0}
        waiting = len(self.waiting())
        return {"managed": True, "known": pool.is_known, "why": pool.problem, "gpus": pool.status(), "waiting": waiting}

    def return_to_use(self, word: str) -> list[str] | None:
        """Give out again what is set aside and named by ``word``; returns the labels, ``None`` where there is none."""
        if self._pool is None or not (word == "all" or self._pool.knows(word)):
            return None
        return self._pool.return_to_use(word, lambda item_id: self._table.get(item_id) is not None)

    # -- jobs of an earlier process

    def _adopt(self, pool: GpuPool, asking: Iterable[ActiveJob]) -> None:
        """Note the GPUs that jobs run with and the journal does not know of: it was restored, say."""
        for active in asking:
            job = active.job
            if not active.gpus_settled and job.may_exist_outside and pool.lease_of(job.item_id) is None:
                with self._records.border(job.item_id):
                    pool.adopt(job, _ordered(self._ends.context.job_directory(job.name)))
            active.gpus_settled = True


def _ordered(directory: str) -> tuple[Gpu, ...]:
    """Return the GPUs in the work order of a job."""
    try:
        return read_order(Path(directory)).gpus or ()
    except (OSError, msgspec.DecodeError):
        return ()


def _without_kept(free: list[Gpu], request: GpuRequest) -> list[Gpu]:
    """Return what is left of the free GPUs for later jobs: without those that a job which waits can use."""
    if request.devices:
        return [gpu for gpu in free if not any(gpu.is_named(word) for word in request.devices)]
    return [gpu for gpu in free if not request.admits(gpu.memory, gpu.is_instance)]
