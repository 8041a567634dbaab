"""The jobs in our care, and what is to be done for each.

The one place that decides about a job: what its worker says, its worker's
death, an order to stop, a deadline. It owns the records. What depends on a
change, an answer to a worker or a report, is done after the journal has it.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable

import msgspec

from ipc.errors import ErrorReport
from ipc.exits import WorkerExit, describe
from ipc.failpoints import hit
from ipc.handles import ExitResult
from ipc.job_files import WORKER_LOG_FILE
from ipc.messages import (
    Adopt,
    Event,
    Failed,
    Finished,
    Heartbeat,
    Hello,
    PhaseChanged,
    Start,
    Stop,
    SubmitApproved,
    Submitted,
    Submitting,
    WarningRaised,
)
from ipc.run_spec import SCHEDULER_URI
from ipc.states import IllegalTransition, JobState
from ipc.work_order import write_order
from launchd.agent.admission import Admitted, Rejected, admit
from launchd.agent.commit_hooks import CommitHooks
from launchd.agent.events import Acknowledged
from launchd.agent.job_record import JobRecord, fail, finish, requeued_spec, restart, transition
from launchd.agent.job_table import ActiveJob
from launchd.agent.journal import Journal
from launchd.agent.outbox import Outbox, outcome_body
from launchd.agent.submitter_keys import SubmitterKeys
from launchd.agent.work_orders import AgentContext
from launchd.agent.worker_pool.pool import WorkerPool
from launchd.agent.worker_pool.spawner import Worker
from launchd.client.queue_server import ClaimedItem, StopRequest

#: Pauses before a job whose worker died gets another one.
REASSIGN_BACKOFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

#: A worker that lived this long did not die of what its predecessor died of.
HEALTHY_WORKER_SECONDS = 60.0

log = logging.getLogger(__name__)


class JobController:
    """All jobs of this supervisor. Main thread only."""

    def __init__(
        self, journal: Journal, pool: WorkerPool, outbox: Outbox, rules: AgentContext, keys: SubmitterKeys
    ) -> None:
        self.rules = rules
        self.counters: Counter[str] = Counter()
        self._journal = journal
        self._pool = pool
        self._outbox = outbox
        self._keys = keys
        self._active: dict[str, ActiveJob] = {}
        self.effects = CommitHooks()
        #: Grows whenever a job comes, goes or is to be stopped.
        self.version = 0

    # -- what is there

    def jobs(self) -> Iterable[JobRecord]:
        """Return the jobs that are not over."""
        return (active.job for active in self._active.values())

    def find(self, item_or_run: str) -> JobRecord | None:
        """Return the job of an item, run id or workload name."""
        active = self._active.get(item_or_run)
        if active is not None:
            return active.job
        return next((job for job in self.jobs() if item_or_run in (job.spec.run_id, job.name)), None)

    def count(self, schedulers: bool) -> int:
        """Return how many slots are taken, of ordinary jobs or of sweep schedulers."""
        return sum(job.spec.is_scheduler is schedulers for job in self.jobs())

    # -- from the journal, at start

    def adopt(self, job: JobRecord) -> None:
        """Take ``job`` back into care after a restart."""
        if not job.may_exist_outside and job.state is not JobState.CLAIMED:
            job = transition(job, JobState.CLAIMED, time.time(), "the agent was restarted; the job starts over")
        job = msgspec.structs.replace(job, losses=0)
        self._active[job.item_id] = ActiveJob(job, adopting=job.may_exist_outside)

    # -- from the queue server

    def acknowledge_all(self) -> None:
        """Confirm again what the queue server may not have heard of: after a restart."""
        for job in self.jobs():
            if not job.acknowledged:
                self._acknowledge(job)

    def on_claimed(self, items: Iterable[ClaimedItem], agent_id: str) -> None:
        """Take in items that were leased to us as ``agent_id``."""
        hit("supervisor.claimed")
        for item in items:
            active = self._active.get(item.item_id)
            if active is not None:
                # Leased to us again because our acknowledgement was lost: it needs another, not another run.
                self._acknowledge(active.job)
            else:
                self._admit(item, agent_id)

    def _admit(self, item: ClaimedItem, agent_id: str) -> None:
        before = self._journal.job(item.item_id)
        if before is not None and before.is_over:
            log.warning(
                "An item that is over was leased to us again; its outcome is sent again.", extra=_fields(before)
            )
            self.effects.add(lambda: self._outbox.acknowledge(before))
            self._send_outcome(before)
            return
        if self._exceeds_scheduler_limit(item):
            log.warning("A sweep scheduler over max_schedulers is left to its lease.", extra={"item": item.item_id})
            return
        self.counters["claimed"] += 1
        match admit(item, agent_id, self.rules, time.time()):
            case Admitted(job, submitter_key):
                log.info("A job was claimed.", extra=_fields(job))
                self._accept_job(job, submitter_key)
            case Rejected(job, error):
                log.info("A job was claimed.", extra=_fields(job))
                self._finish(fail(job, error.report(), time.time()))

    def _exceeds_scheduler_limit(self, item: ClaimedItem) -> bool:
        # W&B's server cannot be asked for jobs alone; its agent, too, leaves such an item to the next.
        if item.run_spec.get("uri") != SCHEDULER_URI:
            return False
        limit = self.rules.config.max_schedulers
        return self.rules.free_slots(self.count(schedulers=True), limit) == 0

    def _accept_job(self, job: JobRecord, submitter_key: str | None) -> None:
        try:
            self._keys.keep(job.name, submitter_key)
        except OSError as error:
            sentence = f"The submitter's API key could not be kept on {self.rules.hostname}: {error.strerror}."
            self._finish(fail(job, ErrorReport("agent", "KeyNotKept", sentence), time.time()))
            return
        self._save(ActiveJob(job), job)
        self.effects.add(lambda: hit("supervisor.journaled"))
        self._acknowledge(job)

    def _acknowledge(self, job: JobRecord) -> None:
        self.effects.add(lambda: self._outbox.acknowledge(job))

    def on_acknowledged(self, event: Acknowledged) -> None:
        """Act on the queue server's answer to an acknowledgement."""
        hit("supervisor.acknowledged")
        active = self._active.get(event.item_id)
        if active is None or active.job.acknowledged:
            return
        if event.refusal is not None:
            self._abort(active.job, ErrorReport("agent", "SweepOver", event.refusal))
        elif event.accepted or active.job.handle is not None:
            active.job = msgspec.structs.replace(active.job, acknowledged=True)
            self._approve_submit(active)
        else:
            log.warning(
                "The queue server gave the item to somebody else; the job is dropped.", extra=_fields(active.job)
            )
            self._drop(active.job)

    def _drop(self, job: JobRecord) -> None:
        # Without our acknowledgement its worker was never told to go ahead: nothing exists outside.
        self._journal.forget(job.item_id)
        self._remove(job)
        worker = self._pool.worker_of(job.item_id)
        if worker is not None:
            worker.kill("its item is not ours")

    def stop(self, order: StopRequest) -> bool:
        """Stop the job of an item; returns whether it is in our care."""
        active = self._active.get(order.item_id)
        if active is None:
            return False
        if active.job.stop_reason is not None:
            return True
        job = msgspec.structs.replace(active.job, stop_reason=order.reason or "somebody asked for it")
        self._save(active, job)
        log.info("A job is to be stopped.", extra=_fields(job) | {"reason": job.stop_reason})
        worker = self._pool.worker_of(job.item_id)
        if worker is not None:
            self.effects.add(lambda: worker.send(self._cancel(job)))
        elif not job.may_exist_outside:
            self._finish(finish(job, JobState.STOPPED, ExitResult(), time.time()))
        return True

    def _cancel(self, job: JobRecord) -> Stop:
        return Stop(job.stop_reason or "", self.rules.config.launchd.jobs.stop_grace_seconds)

    # -- from a worker

    def on_event(self, worker: Worker, event: Event) -> None:
        """Act on what the worker of a job says."""
        active = self._active.get(worker.item_id or "")
        if active is None:
            return
        self._count_adoption(active)
        job = active.job
        match event:
            case PhaseChanged(state, message):
                self._move(active, state, message)
            case Submitting():
                self._save(active, msgspec.structs.replace(job, recorded=True))
                active.awaiting_submit = True
                self._approve_submit(active)
            case Submitted(handle):
                hit("supervisor.submitted")
                self._save(active, msgspec.structs.replace(job, handle=handle, recorded=True))
                # Nothing waits for it, but whoever adopts the job should not have to look for it.
                self.effects.request_commit()
                self._forget_key(job)
            case WarningRaised(message, stage):
                log.warning("A job has a warning.", extra=_fields(job) | {"warning": message})
                self._deliver(job, "warning", {"message": message, "stage": stage})
            case Finished() | Failed():
                # Not the truth before its sender has left with exit code 0.
                active.reported_outcome = event
            case Hello() | Heartbeat():
                pass

    def _count_adoption(self, active: ActiveJob) -> None:
        if active.adopting:
            active.adopting = False
            self.counters["adopted"] += 1
            log.info("A job of the agent before us is adopted.", extra=_fields(active.job))

    def _move(self, active: ActiveJob, state: JobState, message: str | None) -> None:
        job = active.job
        try:
            after = transition(job, state, time.time(), message)
        except IllegalTransition as error:
            log.error(
                "A worker reported an impossible change; it is ignored.", extra=_fields(job) | {"error": str(error)}
            )
            return
        if state is JobState.CLAIMED:
            after = msgspec.structs.replace(after, recorded=False, handle=None)
        if state is job.state:
            active.job = after
        else:
            log.info("A job changed its state.", extra=_fields(after) | {"before": str(job.state)})
            self._save(active, after)
        self._outbox.publish_status(after)

    def _approve_submit(self, active: ActiveJob) -> None:
        """Tell the worker that waits to create the workload, once the item is ours and the name is on disk."""
        job = active.job
        worker = self._pool.worker_of(job.item_id)
        if worker is not None and job.acknowledged and active.awaiting_submit:
            active.awaiting_submit = False
            self.effects.add(lambda: _send_submit_approved(worker, job.name))

    def on_exit(self, worker: Worker, exit_code: int) -> None:
        """Act on the death of a worker; everything it sent has been heard."""
        active = self._active.get(worker.item_id or "")
        outcome = active.reported_outcome if active is not None else None
        clean = exit_code in (WorkerExit.DONE, WorkerExit.DETACHED, WorkerExit.ORPHANED)
        lost = not clean or (active is not None and exit_code == WorkerExit.DONE and outcome is None)
        self._pool.reap(worker, lost)
        if active is None:
            return
        active.awaiting_submit, active.reported_outcome = False, None
        if exit_code == WorkerExit.DONE and outcome is not None:
            self._on_outcome(active.job, outcome)
        elif lost:
            self._on_worker_lost(active, worker, exit_code)
        else:
            active.assign_at = 0.0

    def _on_outcome(self, job: JobRecord, outcome: Finished | Failed) -> None:
        hit("supervisor.outcome")
        now = time.time()
        match outcome:
            case Finished(state, result):
                self._finish(finish(job, state, result, now))
            case Failed(report):
                self._finish(fail(job, report, now))

    # -- losses and deadlines

    def _on_worker_lost(self, active: ActiveJob, worker: Worker, exit_code: int) -> None:
        self.counters["worker_losses"] += 1
        job = active.job
        how = describe(exit_code) if worker.kill_reason is None else f"was killed because {worker.kill_reason}"
        log.warning("A job lost its worker.", extra=_fields(job) | {"pid": worker.pid, "how": how})
        overdue, active.timeout_error = active.timeout_error, None
        if job.may_exist_outside:
            lived_long = time.monotonic() - active.assigned_at > HEALTHY_WORKER_SECONDS
            losses = 1 if lived_long else job.losses + 1
            self._reassign(active, msgspec.structs.replace(job, losses=losses))
        elif overdue is not None:
            self._finish(fail(job, overdue, time.time()))
        elif job.stop_reason is not None:
            self._finish(finish(job, JobState.STOPPED, ExitResult(), time.time()))
        elif exit_code != WorkerExit.UNKNOWN and job.losses + 1 >= self.rules.config.launchd.jobs.max_attempts:
            self._finish(fail(job, self._worker_lost_report(job, how), time.time()))
        else:
            self._reassign(active, restart(job, exit_code, time.time()))

    def _worker_lost_report(self, job: JobRecord, how: str) -> ErrorReport:
        worker_log = f"{self.rules.job_directory(job.name)}/{WORKER_LOG_FILE}"
        return ErrorReport(
            "build" if job.state is JobState.BUILDING else "agent",
            "WorkerLost",
            f"The worker {how} while {job.state}, {job.losses + 1} times in a row.",
            f"Its log is {worker_log} on {self.rules.hostname}.",
        )

    def _reassign(self, active: ActiveJob, job: JobRecord) -> None:
        pause = REASSIGN_BACKOFF_SECONDS[min(max(job.losses, 1), len(REASSIGN_BACKOFF_SECONDS)) - 1]
        active.job, active.assign_at = job, time.monotonic() + pause

    def check_deadlines(self) -> None:
        """End workers that are over the time limit of their phase."""
        now = time.time()
        for active in self._active.values():
            job = active.job
            limit = self.rules.phase_limit(job.state)
            worker = self._pool.worker_of(job.item_id)
            if limit is None or worker is None or worker.kill_reason is not None:
                continue
            if min(now - job.state_at, time.monotonic() - active.assigned_at) < limit:
                continue
            sentence = f"{str(job.state).capitalize()} took longer than {limit:g} s."
            active.timeout_error = ErrorReport("agent", "PhaseTimeout", sentence, "Raise launchd.supervision's limit.")
            log.error("A job is over the time limit of its phase; its worker is ended.", extra=_fields(job))
            worker.kill(f"{job.state} took longer than {limit:g} s")

    # -- workers for jobs

    def assign_workers(self, keep_spares: bool) -> None:
        """Give workers to the jobs that have none, and order those that are missing."""
        now = time.monotonic()
        due = [active for active in self._active.values() if active.assign_at is not None and active.assign_at <= now]
        for active in due:
            if self._pool.has_spare():
                self._assign(active)
        waiting = sum(active.assign_at is not None for active in due)
        self._pool.scale_to(waiting, keep_spares)

    def _assign(self, active: ActiveJob) -> None:
        job = active.job
        order = self.rules.work_order(job)
        try:
            write_order(order)
        except OSError as error:
            self._note_problem(active, f"Its directory {order.directory} cannot be written: {error.strerror}.")
            return
        key = self._keys.key_for(job.name, job.submitter_key)
        command = (
            Adopt(order.directory, job.name, key, job.handle)
            if job.may_exist_outside
            else Start(order.directory, job.name, key)
        )
        active.assign_at, active.assigned_at = None, time.monotonic()
        worker = self._pool.assign(job.item_id)
        self.effects.add(lambda: _send_assignment(worker, command))
        if job.stop_reason is not None:
            # A stop request that came while nobody worked on the job.
            self.effects.add(lambda: worker.send(self._cancel(job)))

    def _note_problem(self, active: ActiveJob, sentence: str) -> None:
        if active.job.message != sentence:
            log.error("A job cannot be given to a worker.", extra=_fields(active.job) | {"why": sentence})
            active.job = msgspec.structs.replace(active.job, message=sentence)
        active.assign_at = time.monotonic() + REASSIGN_BACKOFF_SECONDS[4]

    # -- the end of a job

    def _abort(self, job: JobRecord, report: ErrorReport) -> None:
        worker = self._pool.worker_of(job.item_id)
        self._finish(fail(job, report, time.time()))
        if worker is not None:
            worker.kill("its job is over")

    def _finish(self, job: JobRecord) -> None:
        log.info(
            "A job is over.",
            extra=_fields(job) | {"outcome": str(job.state), "why": job.message, "exit_code": job.exit_code},
        )
        self.counters[job.state] += 1
        self._journal.save(job)
        self._remove(job)
        self._forget_key(job)
        self._send_outcome(job)
        if job.state is JobState.PREEMPTED:
            self._requeue(job)
        self.effects.add(lambda: hit("supervisor.outcome_journaled"))

    def _forget_key(self, job: JobRecord) -> None:
        if job.submitter_key:
            self._keys.forget(job.name)

    def _send_outcome(self, job: JobRecord) -> None:
        self._deliver(job, "outcome", outcome_body(job, self.rules.job_directory(job.name)))

    def _requeue(self, job: JobRecord) -> None:
        spec = requeued_spec(job, self.rules.entity)
        if spec is None:
            log.warning("A preempted job is not put back into its queue.", extra=_fields(job))
            return
        self._deliver(job, "requeue", {"entity": self.rules.entity, "queue": job.queue, "run_spec": spec})

    def _remove(self, job: JobRecord) -> None:
        self.version += 1
        self._active.pop(job.item_id, None)

    def _save(self, active: ActiveJob, job: JobRecord) -> None:
        """Have ``job`` be the record of ``charge``, here and in the journal."""
        self.version += 1
        active.job = job
        self._active[job.item_id] = active
        self._journal.save(job)

    def _deliver(self, job: JobRecord, kind: str, body: dict[str, object]) -> None:
        delivery = self._journal.add_delivery(job, kind, body, time.time())
        self.effects.add(lambda: self._outbox.deliver(delivery))


def _send_assignment(worker: Worker, command: Start | Adopt) -> None:
    worker.send(command)
    hit("supervisor.worker_started")


def _send_submit_approved(worker: Worker, name: str) -> None:
    hit("supervisor.submit_approved")
    worker.send(SubmitApproved(name))


def _fields(job: JobRecord) -> dict[str, object]:
    """Return what every log record about a job carries."""
    return {"item": job.item_id, "queue": job.queue, "run": job.spec.run_id, "job": job.name, "state": str(job.state)}
