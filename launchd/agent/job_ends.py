"""How a job ends: its record, its outcome for the queue server, what was kept for it. Main thread only."""

import logging
from collections import Counter
from typing import Any

import msgspec

from ipc.errors import ErrorReport
from ipc.failpoints import hit
from ipc.handles import ExitResult
from ipc.states import JobState
from launchd.agent.clock import Clock
from launchd.agent.deliveries import DeliveryBody, RequeuedRun, outcome_of
from launchd.agent.gpus.pool import GpuPool
from launchd.agent.job_history import entry_of
from launchd.agent.job_record import JobRecord, fail, requeued_spec
from launchd.agent.job_table import ActiveJob, JobTable
from launchd.agent.journal import Journal
from launchd.agent.measures import AgentMeasures
from launchd.agent.ports import JobReports, JobWorkers
from launchd.agent.record_writer import RecordWriter, log_fields
from launchd.agent.submitter_keys import SubmitterKeys
from launchd.agent.time_limits import seconds_run
from launchd.agent.work_orders import AgentContext
from launchd.agent.worker_assignment import stop_command

log = logging.getLogger(__name__)


class JobEnds:
    """Ends jobs, with an outcome or without a trace."""

    def __init__(
        self,
        records: RecordWriter,
        journal: Journal,
        table: JobTable,
        pool: JobWorkers,
        outbox: JobReports,
        keys: SubmitterKeys,
        context: AgentContext,
        clock: Clock,
        gpus: GpuPool | None = None,
    ) -> None:
        #: Configuration and policy in force; replaced as a whole by a reload.
        self.context = context
        #: Jobs by their terminal state, and what else happened since the start of the agent.
        self.counters: Counter[str] = Counter()
        #: The same and more, for metrics.
        self.measures = AgentMeasures()
        self._records = records
        self._journal = journal
        self._table = table
        self._pool = pool
        self._outbox = outbox
        self._keys = keys
        self._clock = clock
        self._gpus = gpus
        self._dropped: list[JobRecord] = []
        self._ended: list[JobRecord] = []

    def finish(self, job: JobRecord) -> None:
        """End ``job``, which is in a terminal state: the queue server is told until it knows."""
        job = self._with_end_of_gpus(job)
        log.info("A job is over.", extra=log_fields(job) | _end_fields(job))
        self.counters[job.state] += 1
        self._measure_end(job)
        self._journal.save(job)
        self._journal.add_to_history(entry_of(job, seconds_run(job, self._clock)))
        self._table.remove(job.item_id)
        self.forget_key(job)
        self._send_outcome(job)
        self._ended.append(job)
        if job.state is JobState.PREEMPTED:
            self._requeue(job)
        self._records.after_commit(job.item_id, lambda: hit("supervisor.outcome_journaled"))

    def _measure_end(self, job: JobRecord) -> None:
        self.measures.job_ended(job)
        active = self._table.get(job.item_id)
        if active is not None:
            self.measures.phase_left(active.job, self.seconds_in_state(active))

    def seconds_in_state(self, active: ActiveJob) -> float:
        """Return for how long a job has been in its state."""
        # That of a job that was taken over is younger than the job is.
        return max(self._clock.monotonic() - active.phase_at, self._clock.now() - active.job.state_at)

    def _with_end_of_gpus(self, job: JobRecord) -> JobRecord:
        """Return ``job`` with what its GPUs did for it; they are free once its end is on disk."""
        gpus = self._gpus
        if gpus is None or gpus.lease_of(job.item_id) is None:
            return job
        gpus.on_job_end(job.item_id, failed_at_once=self._failed_at_once(job), succeeded=job.state is JobState.FINISHED)
        gpus.release(job)
        return msgspec.structs.replace(job, gpu_use=gpus.use_of(job.item_id))

    def _failed_at_once(self, job: JobRecord) -> bool:
        """Whether a job failed as soon as it was launched, or could not be launched at all."""
        active = self._table.get(job.item_id)
        if job.state is not JobState.FAILED or job.stage != "run" or active is None or not active.job.recorded:
            return False
        return self.seconds_in_state(active) < self.context.config.launchd.gpus.fast_failure_seconds

    def fail(self, active: ActiveJob, report: ErrorReport) -> None:
        """Fail a job: at once where nothing can exist outside, else once its workload has been stopped."""
        job = active.job
        worker = self._pool.worker_of(job.item_id)
        if not job.may_exist_outside:
            self.finish(fail(job, report, self._clock.now()))
            if worker is not None:
                worker.kill("its job is over")
            return
        was_stopping = job.stop_reason is not None
        reason = job.stop_reason or report.message
        self._records.save(msgspec.structs.replace(job, stop_reason=reason, failure=job.failure or report))
        if worker is not None and not was_stopping:
            worker.send(stop_command(active.job, self.context))

    def drop(self, job: JobRecord) -> None:
        """Forget a job without an outcome: it is not this agent's, and nothing of it can exist outside."""
        self._journal.forget(job.item_id)
        self._table.remove(job.item_id)
        self.forget_key(job)
        if self._gpus is not None:
            self._gpus.release(job)
        self._dropped.append(job)
        worker = self._pool.worker_of(job.item_id)
        if worker is not None:
            worker.kill("its item is not this agent's")

    def take_ended(self) -> list[JobRecord]:
        """Return the jobs that have ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def take_dropped(self) -> list[JobRecord]:
        """Return the jobs that were dropped since the last call and have no worker any more.

        Where an item is a job again, its directory is in use.
        """
        waiting = [job for job in self._dropped if self._pool.worker_of(job.item_id) is not None]
        ready = [job for job in self._dropped if job not in waiting and self._journal.job(job.item_id) is None]
        self._dropped = waiting
        return ready

    def send_again(self, job: JobRecord) -> None:
        """Tell the queue server the outcome of a job that is over once more, under the lease in ``job``."""
        self._journal.save(job)
        self._send_outcome(job)

    def forget_key(self, job: JobRecord) -> None:
        """Remove the submitter's API key, once the job has begun or is not to be."""
        if job.submitter_key:
            self._keys.forget(job.key_name)

    def deliver(self, job: JobRecord, body: DeliveryBody) -> None:
        """Tell the queue server ``body`` about ``job`` until it knows."""
        self._outbox.add(job, body, self._clock.now())

    def _send_outcome(self, job: JobRecord) -> None:
        self.deliver(job, outcome_of(job, self.context.job_directory(job.name)))

    def _requeue(self, job: JobRecord) -> None:
        spec = requeued_spec(job, self.context.entity)
        if spec is None:
            log.warning("A preempted job is not put back into its queue.", extra=log_fields(job))
            return
        self.deliver(job, RequeuedRun(self.context.entity, job.queue, spec))


def _end_fields(job: JobRecord) -> dict[str, Any]:
    used = job.result or ExitResult()
    return {
        "outcome": str(job.state),
        "why": job.message,
        "exit_code": job.exit_code,
        "cpu_seconds": used.cpu_seconds,
        "peak_memory_bytes": used.peak_memory_bytes,
        "gpu_use": msgspec.to_builtins(job.gpu_use),
    }
