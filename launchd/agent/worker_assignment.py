"""Gives workers to jobs, and ends workers that take too long over a phase. Main thread only."""

import logging
from pathlib import Path

import msgspec

from ipc.errors import ErrorReport
from ipc.failpoints import hit
from ipc.messages import Adopt, Start, Stop, SubmitApproved
from ipc.work_order import WorkOrder, has_order, read_order, write_order
from launchd.agent.backoff import Backoff
from launchd.agent.clock import Clock
from launchd.agent.gpus.pool import GpuPool
from launchd.agent.job_record import JobRecord
from launchd.agent.job_table import ActiveJob, JobTable
from launchd.agent.job_users import JobUsers, NoNumberLeft
from launchd.agent.ports import JobWorker, JobWorkers
from launchd.agent.record_writer import RecordWriter, log_fields
from launchd.agent.submitter_keys import SubmitterKeys
from launchd.agent.work_orders import AgentContext

#: Pauses before a job gets another worker, from the second loss in a row on; after the first it gets one at once.
REASSIGN_BACKOFF = Backoff(0.5, 60.0)

#: A job that may exist outside and lost this many workers in a row gets one that only watches and stops it.
LOSSES_TO_RESCUE = 5

#: One that lost this many is set aside as unknown: it keeps its slot, for it may run, and is tried now and then.
LOSSES_TO_SET_ASIDE = 8

#: Pause in seconds before a job that was set aside gets a worker again.
SET_ASIDE_SECONDS = 300.0

#: Pause in seconds before a job that waits for a user of its own is looked at again.
NO_USER_SECONDS = 5.0

#: Pause in seconds before a job whose directory cannot be written is given to a worker again.
UNWRITABLE_DIRECTORY_SECONDS = 5.0

log = logging.getLogger(__name__)


class WorkerAssignment:
    """Which job gets a worker when."""

    def __init__(
        self,
        records: RecordWriter,
        table: JobTable,
        pool: JobWorkers,
        keys: SubmitterKeys,
        users: JobUsers,
        clock: Clock,
        gpus: GpuPool | None = None,
    ) -> None:
        self._records = records
        self._table = table
        self._pool = pool
        self._keys = keys
        self._users = users
        self._clock = clock
        self._gpus = gpus

    def reassign(self, active: ActiveJob, job: JobRecord) -> None:
        """Have a job that lost its worker get another one, the later the more it lost in a row; saves ``job``."""
        active.assign_at = self._clock.monotonic() + _pause_after(job.losses)
        self._records.save(job)

    def reassign_later(self, active: ActiveJob) -> None:
        """Have a job get another worker soon, unless something else is decided."""
        active.assign_at = self._clock.monotonic() + REASSIGN_BACKOFF.pause_after(0)

    def replace_worker(self, active: ActiveJob, reason: str) -> None:
        """End the worker of a job whose work order is another one now; the next one reads that."""
        active.awaiting_submit = False
        worker = self._pool.worker_of(active.job.item_id)
        if worker is not None:
            worker.kill(reason)

    def on_submitting(self, active: ActiveJob) -> None:
        """Note that a worker is ready to create the workload; one that wants GPUs of its host waits for these first."""
        active.awaiting_submit = True
        if self._gpus is None or active.gpus_asked is None or self._gpus.lease_of(active.job.item_id) is not None:
            self._record_name(active)
        else:
            # The table has changed, so it is looked which jobs get GPUs.
            self._table.put(active)

    def on_gpus(self, active: ActiveJob, context: AgentContext) -> None:
        """Have the workload of a job that waits be created, now that it has its GPUs.

        Raises:
            OSError: its work order cannot be written; nothing of it may be created then.
        """
        active.phase_at = self._clock.monotonic()
        write_order(self._with_gpus(read_order(Path(context.job_directory(active.job.name)))))
        self._record_name(active)

    def _record_name(self, active: ActiveJob) -> None:
        self._records.save(msgspec.structs.replace(active.job, recorded=True))
        self.approve_submit(active)

    def approve_submit(self, active: ActiveJob) -> None:
        """Permit the waiting worker to create the workload, once the item is acknowledged and the name is on disk.

        The queue server's word must be to this process: the journal may be a copy of another agent's.
        """
        job = active.job
        worker = self._pool.worker_of(job.item_id)
        is_ready = active.awaiting_submit and job.recorded
        if worker is not None and job.acknowledged and active.confirmed and is_ready:
            active.awaiting_submit = False
            self._records.after_commit(job.item_id, lambda: _send_submit_approved(worker, job.name))

    def assign_workers(self, context: AgentContext, *, keep_spares: bool) -> None:
        """Give workers to the jobs that have none, and order those that are missing."""
        now = self._clock.monotonic()
        due = [active for active in self._table if self._is_due(active, now)]
        for active in due:
            if self._pool.has_spare():
                with self._records.border(active.job.item_id):
                    self._assign(active, context)
        waiting = sum(active.assign_at is not None for active in due)
        self._pool.scale_to(waiting, keep_spares)

    def _is_due(self, active: ActiveJob, now: float) -> bool:
        # A worker of an earlier lease may be dying; two would meet in one directory.
        is_waiting = active.assign_at is not None and active.assign_at <= now
        return is_waiting and self._pool.worker_of(active.job.item_id) is None

    def _assign(self, active: ActiveJob, context: AgentContext) -> None:
        try:
            self._give_users(active, context)
        except NoNumberLeft as problem:
            self._note_problem(active, str(problem))
            active.assign_at = self._clock.monotonic() + NO_USER_SECONDS
            return
        job = active.job
        is_rescue = job.may_exist_outside and job.losses >= LOSSES_TO_RESCUE
        if not is_rescue:
            try:
                write_order(self._with_gpus(context.work_order(job)))
            except OSError as error:
                directory = context.job_directory(job.name)
                self._note_problem(active, f"Its directory {directory} cannot be written: {error.strerror}.")
                if not job.may_exist_outside:
                    active.assign_at = self._clock.monotonic() + UNWRITABLE_DIRECTORY_SECONDS
                    return
                # That of an earlier assignment will do; without one, a worker can only watch and stop.
                is_rescue = not has_order(directory)
        self._send_assignment(active, context, is_rescue=is_rescue)

    def _with_gpus(self, order: WorkOrder) -> WorkOrder:
        """Return ``order`` with the GPUs that the job alone sees: none where it has none and GPUs are given out."""
        if self._gpus is None:
            return order
        lease = self._gpus.lease_of(order.item_id)
        return msgspec.structs.replace(order, gpus=lease.gpus if lease else (), gpu_lease=lease and lease.fence)

    def _give_users(self, active: ActiveJob, context: AgentContext) -> None:
        """Have the job's users in its record, which is on disk before a worker begins."""
        job = self._users.with_numbers(active.job, context.rules(active.job.queue))
        if job is not active.job:
            self._records.save(job)

    def _send_assignment(self, active: ActiveJob, context: AgentContext, *, is_rescue: bool) -> None:
        job = active.job
        directory = context.job_directory(job.name)
        key = "" if is_rescue else self._keys.key_for(job.key_name, job.submitter_key)
        active.assign_at, active.assigned_at = None, self._clock.monotonic()
        worker = self._pool.assign(job.item_id)
        stop = stop_command(job, context) if job.stop_reason is not None else None
        if job.may_exist_outside:
            # A workload that exists is adopted, and stopped, also while the journal cannot be written.
            _send_assignment(worker, Adopt(directory, job.name, key, job.handle, rescue=is_rescue), stop)
        else:
            start = Start(directory, job.name, key)
            self._records.after_commit(job.item_id, lambda: _send_assignment(worker, start, stop))

    def _note_problem(self, active: ActiveJob, sentence: str) -> None:
        if active.job.message != sentence:
            log.error("A job cannot be given to a worker.", extra=log_fields(active.job) | {"why": sentence})
            active.job = msgspec.structs.replace(active.job, message=sentence)

    def check_deadlines(self, context: AgentContext) -> None:
        """End workers that are over the time limit of their phase."""
        for active in self._table:
            with self._records.border(active.job.item_id):
                self._check_deadline(active, context.phase_limit(active.job.state))

    def _check_deadline(self, active: ActiveJob, limit: float | None) -> None:
        job = active.job
        worker = self._pool.worker_of(job.item_id)
        if limit is None or worker is None or worker.kill_reason is not None or active.assign_at is not None:
            return
        if active.waits_for_gpus:
            return
        if self._clock.monotonic() - max(active.phase_at, active.assigned_at) < limit:
            return
        sentence = f"{str(job.state).capitalize()} took longer than {limit:g} s."
        active.timeout_error = ErrorReport("agent", "PhaseTimeout", sentence, "Raise launchd.supervision's limit.")
        log.error("A job is over the time limit of its phase; its worker is ended.", extra=log_fields(job))
        worker.kill(f"{job.state} took longer than {limit:g} s")


def _pause_after(losses: int) -> float:
    if losses >= LOSSES_TO_SET_ASIDE:
        return SET_ASIDE_SECONDS
    return REASSIGN_BACKOFF.pause_after(losses - 2) if losses > 1 else 0.0


def stop_command(job: JobRecord, context: AgentContext) -> Stop:
    """Return the command that stops ``job``."""
    return Stop(job.stop_reason or "", context.config.launchd.jobs.stop_grace_seconds)


def _send_submit_approved(worker: JobWorker, name: str) -> None:
    hit("supervisor.submit_approved")
    worker.send(SubmitApproved(name))


def _send_assignment(worker: JobWorker, command: Start | Adopt, stop: Stop | None) -> None:
    worker.send(command)
    hit("supervisor.worker_started")
    if stop is not None:
        # The stop request came while the job had no worker.
        worker.send(stop)
