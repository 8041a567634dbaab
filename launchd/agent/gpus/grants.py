"""Which of the jobs that are ready to start get GPUs, and what the others are told. Main thread only.

A job gets its GPUs when its workload is about to be created: fetching and building take minutes, and no GPU idles for
them. Until then those that it will need are promised to it, so that the agent claims nothing for them, and a job that
is ready before may use them. Jobs that are ready get GPUs in the order in which they came. Free ones that an earlier
one can use are kept for it, so that no job is passed for ever; those that it cannot use go to later ones.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ipc.errors import ErrorReport
from ipc.gpus import Gpu, GpuRequest, GpuSummary
from ipc.work_order import read_order
from launchd.agent.clock import Clock
from launchd.agent.gpus.offer import Offer
from launchd.agent.gpus.pool import GpuPool
from launchd.agent.job_ends import JobEnds
from launchd.agent.job_record import JobRecord, transition
from launchd.agent.job_table import ActiveJob, JobTable
from launchd.agent.journal import Journal
from launchd.agent.record_writer import RecordWriter, log_fields

log = logging.getLogger(__name__)


class GpuGrants:
    """Gives GPUs to jobs. Without a ``pool`` this host gives out none, for the reason in ``why_none``.

    ``start`` has the workload of a job created, which has its GPUs by then.
    """

    def __init__(
        self,
        pool: GpuPool | None,
        why_none: str,
        table: JobTable,
        records: RecordWriter,
        ends: JobEnds,
        publish: Callable[[JobRecord], None],
        clock: Clock,
        start: Callable[[ActiveJob], None],
    ) -> None:
        self._pool = pool
        self._why_none = why_none
        self._table = table
        self._records = records
        self._ends = ends
        self._publish = publish
        self._clock = clock
        self._start = start
        self._seen = (-1, -1)
        #: What jobs will need that are not ready yet: UUIDs.
        self._promised: frozenset[str] = frozenset()
        #: Whether there are jobs without the GPUs that they ask for, and whether some of these were promised none.
        self._are_wanted = False
        self._are_missing = False

    def restore(self, journal: Journal) -> None:
        """Take back, after a start, the GPUs of jobs that are over."""
        if self._pool is None:
            return
        for lease in self._pool.leases():
            if self._table.get(lease.item_id) is None:
                self._pool.settle(lease.item_id, journal.job(lease.item_id))

    @property
    def is_due(self) -> bool:
        """Whether a job that wants GPUs may get some, or a promise, now."""
        return self._pool is not None and self._versions() != self._seen and self._are_wanted

    def waiting(self) -> list[ActiveJob]:
        """Return the jobs that are ready but for GPUs, in their order."""
        return [active for active in self._table if active.waits_for_gpus]

    def give(self) -> None:
        """Give the jobs that are ready what is free, and promise the rest to those that are not yet."""
        if self._versions() == self._seen:
            return
        asking = [active for active in self._table if active.gpus_asked is not None]
        if self._pool is not None:
            self._adopt(self._pool, asking)
        wanting = list(self._hopeful(filter(self._wants_gpus, asking)))
        self._are_wanted = bool(wanting)
        self._promised, self._are_missing = frozenset(), False
        if self._pool is not None:
            self._share_out(self._pool, wanting)
        self._seen = self._versions()

    def summary(self) -> GpuSummary:
        """Return what the queue server is told of the GPUs: a host that gives out none has none."""
        return GpuSummary() if self._pool is None else self._pool.summary(self._promised)

    @property
    def is_owing(self) -> bool:
        """Whether what is free is for jobs that there are: some got none, or it is not known yet what there is."""
        is_known = self._pool is None or self._pool.is_known
        return self._are_missing or bool(self.waiting()) or not is_known

    @property
    def version(self) -> tuple[int, int]:
        """Another one when :meth:`summary` or :attr:`is_owing` may have changed."""
        return self._versions()

    def _versions(self) -> tuple[int, int]:
        return self._table.version, -1 if self._pool is None else self._pool.version

    def _wants_gpus(self, active: ActiveJob) -> bool:
        has_some = self._pool is not None and self._pool.lease_of(active.job.item_id) is not None
        return not (has_some or active.job.may_exist_outside or active.job.stop_reason is not None)

    def _share_out(self, pool: GpuPool, wanting: Sequence[ActiveJob]) -> None:
        offer = Offer(pool, pool.free() if pool.is_known else ())
        later = [active.gpus_asked for active in wanting if not active.awaiting_submit]
        for active in [active for active in wanting if active.awaiting_submit]:
            self._consider(active, offer, pool)
        promises = [offer.take(request) for request in later if request is not None]
        self._are_missing = None in promises
        self._promised = frozenset(gpu.uuid for gpus in promises for gpu in gpus or ())

    def _consider(self, active: ActiveJob, offer: Offer, pool: GpuPool) -> None:
        """Give a job that is ready what it asks for, or have it wait."""
        request = active.gpus_asked
        gpus = None if request is None else offer.take(request)
        if gpus is not None:
            self._give_to(active, pool, gpus)
        elif request is not None and not active.waits_for_gpus:
            self._have_wait(active, request)

    def _hopeful(self, wanting: Iterable[ActiveJob]) -> Iterator[ActiveJob]:
        """Yield the jobs that may get what they ask for, now or later; the others fail."""
        inventory = -1 if self._pool is None else self._pool.inventory
        for active in wanting:
            request = active.gpus_asked
            # Most of many jobs want what they wanted before.
            is_judged = active.gpus_judged == inventory
            if request is not None and (is_judged or not self._is_hopeless(active, request)):
                active.gpus_judged = inventory
                yield active

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

    def _give_to(self, active: ActiveJob, pool: GpuPool, gpus: tuple[Gpu, ...]) -> None:
        with self._records.border(active.job.item_id):
            pool.give(active.job, gpus)
            active.waits_for_gpus = False
            self._start(active)

    def _have_wait(self, active: ActiveJob, request: GpuRequest) -> None:
        active.waits_for_gpus = True
        with self._records.border(active.job.item_id):
            sentence = f"It waits for {request.words()}."
            log.info("A job waits for GPUs.", extra=log_fields(active.job) | {"why": sentence})
            job = transition(active.job, active.job.state, self._clock.now(), sentence)
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
