"""Decides on every event of a job: what its worker reports, its worker's exit, a stop request, a deadline.

What becomes of a job whose worker died is decided in ``worker_losses.py``, of an item that agent and queue server see
otherwise in ``item_settlement.py``; how a job ends is in ``job_ends.py``. It owns the records of the active jobs. What
depends on a change of a record, an answer to a worker or a report to the queue server, is done after the journal has
the change. What handling one job raises ends that job, never the loop.
"""

import logging
from collections import Counter
from collections.abc import Iterable

import msgspec

from ipc.boot_clock import BootMoment
from ipc.errors import ErrorReport
from ipc.exits import WorkerExit
from ipc.failpoints import hit
from ipc.handles import ExitResult
from ipc.messages import (
    Built,
    Event,
    Failed,
    Finished,
    Heartbeat,
    Hello,
    PhaseChanged,
    Submitted,
    Submitting,
    WarningRaised,
    Watching,
    shorten,
)
from ipc.run_spec import SCHEDULER_URI
from ipc.states import TERMINAL_STATES, IllegalTransition, JobState
from launchd.agent.admission import Admitted, Rejected, admit, unreadable
from launchd.agent.clock import Clock, SystemClock
from launchd.agent.deliveries import JobWarning
from launchd.agent.events import Acknowledged
from launchd.agent.gpus.grants import GpuGrants
from launchd.agent.gpus.pool import GpuPool
from launchd.agent.item_settlement import ItemSettlement
from launchd.agent.job_ends import JobEnds
from launchd.agent.job_record import JobRecord, fail, finish, transition
from launchd.agent.job_table import ActiveJob, JobTable
from launchd.agent.job_users import JobUsers
from launchd.agent.journal import Journal
from launchd.agent.journal_file import JournalError
from launchd.agent.measures import AgentMeasures, cause_of_death
from launchd.agent.ports import JobReports, JobWatches, JobWorker, JobWorkers
from launchd.agent.record_writer import RecordWriter, log_fields
from launchd.agent.submitter_keys import SubmitterKeys
from launchd.agent.time_limits import why_over, with_start
from launchd.agent.work_orders import AgentContext
from launchd.agent.worker_assignment import WorkerAssignment, stop_command
from launchd.agent.worker_losses import WorkerLosses, was_lost
from launchd.client.queue_server import ClaimedItem, HeldByServer, Resumed, StopRequest

log = logging.getLogger(__name__)


class JobController:
    """Decides about the jobs in ``table``. Main thread only."""

    def __init__(
        self,
        journal: Journal,
        table: JobTable,
        pool: JobWorkers,
        outbox: JobReports,
        context: AgentContext,
        keys: SubmitterKeys,
        users: JobUsers | None = None,
        clock: Clock | None = None,
        gpus: GpuPool | None = None,
        why_no_gpus: str = "it looks for none.",
        watches: JobWatches | None = None,
    ) -> None:
        clock = clock or SystemClock()
        #: Whom jobs run as: which numbers are given out.
        self.users = users or JobUsers()
        records = RecordWriter(journal, table, self._fail_unexpectedly)
        self._journal = journal
        self._table = table
        self._pool = pool
        self._outbox = outbox
        self._keys = keys
        self._clock = clock
        self._watches = watches
        self._records = records
        self._assignment = WorkerAssignment(records, table, pool, keys, self.users, clock, gpus)
        self._ends = JobEnds(records, journal, table, pool, outbox, keys, context, clock, gpus)
        self._losses = WorkerLosses(records, self._assignment, self._ends, self._publish, clock)
        #: Which jobs get GPUs, and which wait for some.
        self.grants = GpuGrants(gpus, why_no_gpus, table, records, self._ends, self._publish, clock, self._on_gpus)
        self._settlement = ItemSettlement(records, journal, table, outbox, self._assignment, self._ends, clock)

    @property
    def context(self) -> AgentContext:
        """Configuration and policy in force; replaced as a whole by a reload."""
        return self._ends.context

    @context.setter
    def context(self, context: AgentContext) -> None:
        self._ends.context = context

    @property
    def counters(self) -> Counter[str]:
        """What happened since the start of the agent, for ``launchd status``."""
        return self._ends.counters

    @property
    def measures(self) -> AgentMeasures:
        """What is counted for metrics."""
        return self._ends.measures

    def take_ended(self) -> list[JobRecord]:
        """Return the jobs that have ended since the last call."""
        return self._ends.take_ended()

    def take_dropped(self) -> list[JobRecord]:
        """Return the jobs that were dropped since the last call and have no worker any more."""
        return self._ends.take_dropped()

    # -- after a start of the agent

    def restore(self) -> None:
        """Take over the jobs in the journal that are not over; comes before any claim.

        There are three cases: nothing can exist outside, and the job starts over; a handle is known, and a new worker
        adopts the workload; only the name is known, and a new worker asks the runner whether it exists. A worker of
        the agent before this one that still lives is ended by its successor, which takes the lock of the job.
        """
        jobs = self._journal.active_jobs()
        hit("supervisor.adopting")
        for job in jobs:
            self._settlement.restore(job)
        self.grants.restore(self._journal)
        if jobs:
            log.info("The jobs of the previous agent process are taken over.", extra={"jobs": len(jobs)})

    # -- from the queue server

    def on_claimed(self, items: Iterable[ClaimedItem], agent_id: str) -> None:
        """Admit items that were leased to this agent under ``agent_id``."""
        for item in items:
            active = self._table.get(item.item_id)
            if active is not None:
                with self._records.border(item.item_id):
                    self._settlement.on_leased_again(active, item, agent_id)
                continue
            try:
                hit("supervisor.claimed")
                self._on_new_item(item, agent_id)
            except JournalError as error:
                log.error("An item is left to its lease.", extra={"item": item.item_id, "why": str(error)})
            except Exception as error:
                log.exception("Admitting an item raised an unexpected error.", extra={"item": item.item_id})
                self._reject_unexpectedly(item, agent_id, error)

    def _on_new_item(self, item: ClaimedItem, agent_id: str) -> None:
        before = self._journal.job(item.item_id)
        if before is not None:
            self._settlement.on_known_item(before, item, agent_id)
        elif self._exceeds_scheduler_limit(item):
            log.warning("A sweep scheduler over max_schedulers is left to its lease.", extra={"item": item.item_id})
        else:
            self._admit(item, agent_id)

    def _admit(self, item: ClaimedItem, agent_id: str) -> None:
        self.counters["claimed"] += 1
        match admit(item, agent_id, self.context, self._clock.now()):
            case Admitted(job, submitter_key):
                log.info("A job was claimed.", extra=log_fields(job))
                self._start(job, submitter_key)
            case Rejected(job, error):
                log.info("A job was claimed.", extra=log_fields(job))
                self._ends.finish(fail(job, error.report(), self._clock.now()))

    def _reject_unexpectedly(self, item: ClaimedItem, agent_id: str, error: Exception) -> None:
        # No worker has it yet. Its own record may be what cannot be written.
        self._table.remove(item.item_id)
        try:
            job = unreadable(item, agent_id, self.context, self._clock.now())
            self._ends.finish(fail(job, _unexpected(error), self._clock.now()))
        except Exception:
            log.exception("An item cannot even be failed; it is left to its lease.", extra={"item": item.item_id})

    def _exceeds_scheduler_limit(self, item: ClaimedItem) -> bool:
        # W&B's server cannot be asked for jobs alone; W&B's agent, too, leaves such an item to the next one.
        if item.run_spec.get("uri") != SCHEDULER_URI:
            return False
        limit = self.context.config.max_schedulers
        return self.context.free_slots(self._table.count(schedulers=True), limit) == 0

    def _start(self, job: JobRecord, submitter_key: str | None) -> None:
        try:
            self._keys.keep(job.key_name, submitter_key)
        except OSError as error:
            sentence = f"The job's API key could not be kept on {self.context.hostname}: {error.strerror}."
            self._ends.finish(fail(job, ErrorReport("agent", "KeyNotKept", sentence), self._clock.now()))
            return
        self._table.put(ActiveJob(job, phase_at=self._clock.monotonic()))
        self._records.save(job)
        self._records.after_commit(job.item_id, lambda: hit("supervisor.journaled"))
        self._settlement.acknowledge(job)

    def on_acknowledged(self, answer: Acknowledged) -> None:
        """Act on the queue server's answer to an acknowledgement."""
        self._settlement.on_acknowledged(answer)

    def on_registered(self, resumed: Resumed | None, agent_id: str) -> None:
        """Act on a registration as ``agent_id``, and on what it settled about the items of this agent.

        Items that the queue server has not confirmed are acknowledged again.
        """
        self._settlement.on_registered(resumed or Resumed(), agent_id)

    def on_items_unknown(self, items: Iterable[HeldByServer], agent_id: str) -> None:
        """Take up, or fail, items that the queue server holds as those of this agent, ``agent_id``, unknown to it."""
        self._settlement.on_items_unknown(items, agent_id)

    def stop(self, request: StopRequest) -> bool:
        """Stop the job of an item; returns whether it is one of this agent's active jobs.

        The worker is told at once, also while the journal cannot be written.
        """
        active = self._table.get(request.item_id)
        if active is None:
            return False
        with self._records.border(request.item_id):
            self._stop(active, shorten(request.reason or "a stop was requested"))
        return True

    def _stop(self, active: ActiveJob, reason: str) -> None:
        if active.job.stop_reason is not None:
            return
        job = msgspec.structs.replace(active.job, stop_reason=reason)
        log.info("A job is to be stopped.", extra=log_fields(job) | {"reason": reason})
        self._records.save(job)
        worker = self._pool.worker_of(job.item_id)
        if worker is not None:
            worker.send(stop_command(job, self.context))
        elif not job.may_exist_outside:
            self._ends.finish(finish(job, JobState.STOPPED, ExitResult(), self._clock.now()))
        else:
            # One that was set aside gets the worker that stops it at once.
            active.assign_at = self._clock.monotonic()

    # -- from a worker

    def on_event(self, worker: JobWorker, event: Event) -> None:
        """Act on what the worker of a job reports."""
        active = self._job_of(worker)
        if active is None:
            return
        with self._records.border(active.job.item_id):
            self._count_adoption(active)
            self._on_event(active, event)

    def _job_of(self, worker: JobWorker) -> ActiveJob | None:
        """Return the job that ``worker`` has; a job that waits for a worker has none of the workers before."""
        active = self._table.get(worker.item_id)
        return active if active is not None and active.assign_at is None else None

    def _on_event(self, active: ActiveJob, event: Event) -> None:
        job = active.job
        match event:
            case PhaseChanged(state, message, started):
                self._on_phase(active, state, message, started)
            case Submitting():
                self._assignment.on_submitting(active)
            case Submitted(handle):
                hit("supervisor.submitted")
                self._records.save(msgspec.structs.replace(job, handle=handle, recorded=True))
                # Commit early, so that an adopting worker has the handle.
                self._journal.request_commit()
            case WarningRaised() | Watching() | Built():
                self._on_remark(job, event)
            case Finished() | Failed():
                # It counts once its sender has left with exit code 0.
                active.reported_outcome = event
            case Hello() | Heartbeat():
                pass

    def _on_remark(self, job: JobRecord, event: WarningRaised | Watching | Built) -> None:
        match event:
            case WarningRaised(message, stage):
                log.warning("A job has a warning.", extra=log_fields(job) | {"warning": message})
                self._ends.deliver(job, JobWarning(message, stage))
            case Watching(scope):
                if self._watches is not None:
                    self._watches.add(job, scope)
            case Built(kind, reused):
                self.measures.built(kind, reused=reused)

    def _count_adoption(self, active: ActiveJob) -> None:
        if active.adopting:
            active.adopting = False
            self.counters["adopted"] += 1
            log.info("A job of the previous agent process is adopted.", extra=log_fields(active.job))

    def _on_phase(self, active: ActiveJob, state: JobState, message: str | None, started: BootMoment | None) -> None:
        before = active.job
        if state is JobState.CLAIMED and active.lease_lost:
            self._drop_unowned(active)
            return
        if state in TERMINAL_STATES:
            log.error(
                "A worker reported an end as a phase; it is ignored.", extra=log_fields(before) | {"to": str(state)}
            )
            return
        try:
            job = transition(before, state, self._clock.now(), message)
        except IllegalTransition as error:
            log.error(
                "A worker reported an illegal transition; it is ignored.",
                extra=log_fields(before) | {"error": str(error)},
            )
            return
        if state is JobState.CLAIMED:
            job = msgspec.structs.replace(job, recorded=False, handle=None)
        if state is JobState.RUNNING:
            job = with_start(job, started, self._clock)
            # Until now its target may ask for the key once more.
            self._ends.forget_key(job)
        if state is not before.state:
            self._measure_phase(active, state)
            active.phase_at = self._clock.monotonic()
            log.info("A job changed its state.", extra=log_fields(job) | {"before": str(before.state)})
        # Also where only the message is new: the number of a report must not be given again after a restart.
        self._records.save(job)
        self._records.after_commit(job.item_id, lambda: self._publish(job), lazy=True)

    def _measure_phase(self, active: ActiveJob, following: JobState) -> None:
        job = active.job
        self.measures.phase_left(job, self._ends.seconds_in_state(active))
        if following is JobState.RUNNING and job.state in (JobState.SUBMITTING, JobState.STARTING):
            self.measures.picked_up(job, self._clock.now() - job.claimed_at)

    def _drop_unowned(self, active: ActiveJob) -> None:
        log.warning(
            "Nothing of a job exists, and its item is not this agent's; the job is dropped.",
            extra=log_fields(active.job),
        )
        self._ends.drop(active.job)
        if active.leased_again is not None:
            item, agent_id = active.leased_again
            self.on_claimed([item], agent_id)

    def _on_gpus(self, active: ActiveJob) -> None:
        try:
            self._assignment.on_gpus(active, self.context)
        except OSError as error:
            sentence = f"The GPUs of the job could not be noted in its directory: {error.strerror}."
            self._ends.fail(active, ErrorReport("agent", "HostError", sentence))

    def _publish(self, job: JobRecord) -> None:
        # Where the job has changed again since, that change brings its own.
        active = self._table.get(job.item_id)
        if active is not None and active.job.state is job.state:
            self._outbox.publish_status(active.job)

    def on_exit(self, worker: JobWorker, exit_code: int) -> None:
        """Act on the death of a worker; everything it sent has been handled."""
        active = self._job_of(worker)
        has_outcome = active is None or active.reported_outcome is not None
        lost = was_lost(exit_code, has_outcome)
        if lost and (active is not None or worker.item_id is None):
            was_killed = worker.kill_reason is not None
            self.measures.worker_died(cause_of_death(exit_code, was_killed=was_killed, active=active))
        worker.reap(lost=lost)
        if worker.item_id is not None and self._watches is not None:
            self._watches.drop(worker.item_id)
        if active is not None:
            with self._records.border(active.job.item_id):
                self._on_exit(active, worker, exit_code, lost=lost)

    def _on_exit(self, active: ActiveJob, worker: JobWorker, exit_code: int, *, lost: bool) -> None:
        outcome, active.reported_outcome = active.reported_outcome, None
        active.awaiting_submit = active.waits_for_gpus = False
        # It gets another worker unless it ends here, also where handling the end raises.
        self._assignment.reassign_later(active)
        if exit_code == WorkerExit.DONE and outcome is not None:
            self._on_outcome(active, outcome)
        elif lost:
            self._losses.on_lost(active, worker, exit_code)
        else:
            active.assign_at = self._clock.monotonic()

    def _on_outcome(self, active: ActiveJob, outcome: Finished | Failed) -> None:
        hit("supervisor.outcome")
        job, now = active.job, self._clock.now()
        if active.lease_lost and job.handle is None:
            self._drop_unowned(active)
            return
        if job.failure is not None:
            self._ends.finish(fail(job, job.failure, now))
            return
        try:
            match outcome:
                case Finished(state, result):
                    self._ends.finish(finish(job, state, result, now))
                case Failed(report):
                    self._ends.finish(fail(job, report, now))
        except IllegalTransition as error:
            log.error("A worker reported an impossible outcome.", extra=log_fields(job) | {"error": str(error)})
            sentence = f"Its worker reported an outcome that is impossible: {error}."
            self._ends.fail(active, ErrorReport("agent", "ImpossibleOutcome", sentence))

    # -- deadlines, and who gets what

    def check_deadlines(self) -> None:
        """End workers that are over the time limit of their phase, and stop jobs that ran for longer than they may."""
        self._assignment.check_deadlines(self.context)
        for active in self._table:
            with self._records.border(active.job.item_id):
                self._check_runtime(active)

    def _check_runtime(self, active: ActiveJob) -> None:
        if active.job.stop_reason is None and (why := why_over(active.job, self.context, self._clock)) is not None:
            self._stop(active, why)

    def assign_workers(self, keep_spares: bool) -> None:
        """Give GPUs to the jobs that are ready for some and workers to those that have none; order what is missing."""
        self.grants.give()
        self._assignment.assign_workers(self.context, keep_spares=keep_spares)

    # -- errors of one job

    def _fail_unexpectedly(self, item_id: str, error: Exception) -> None:
        active = self._table.get(item_id)
        if active is None:
            return
        try:
            self._ends.fail(active, _unexpected(error))
        except Exception:
            # Its record stays in the journal as it was last written; the next start of the agent takes it over.
            log.exception("A job cannot even be failed; it is set aside until the next start.", extra={"item": item_id})
            self._table.remove(item_id)
            worker = self._pool.worker_of(item_id)
            if worker is not None:
                worker.kill("its job is set aside")


def _unexpected(error: Exception) -> ErrorReport:
    sentence = f"The agent met an unexpected error over this job: {type(error).__name__}: {error}."
    return ErrorReport("agent", "InternalError", sentence, "The agent's log has the traceback.")
