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
    Cancel,
    Event,
    Failed,
    Finished,
    Heartbeat,
    Hello,
    PhaseChanged,
    Recorded,
    Start,
    Submitted,
    Submitting,
    Warned,
)
from ipc.run_spec import SCHEDULER_URI
from ipc.states import IllegalTransition, JobState
from ipc.work_order import write_order
from launchd.agent.admission import Accepted, Rejected, take_in
from launchd.agent.commit_hooks import Effects
from launchd.agent.events import Acknowledged
from launchd.agent.job_record import JobRecord, ended, failed, moved, requeued_spec, started_over
from launchd.agent.job_table import Charge
from launchd.agent.journal import Journal
from launchd.agent.outbox import Outlet, outcome_body
from launchd.agent.submitter_keys import KeyRing
from launchd.agent.work_orders import Rules
from launchd.agent.worker_pool.pool import Staff
from launchd.agent.worker_pool.spawner import Worker
from launchd.client.queue_server import ClaimedItem, StopOrder

#: Pauses before a job whose worker died gets another one.
RESTAFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

#: A worker that lived this long did not die of what its predecessor died of.
LONG_LIFE_SECONDS = 60.0

log = logging.getLogger(__name__)


class Care:
    """All jobs of this supervisor. Main thread only."""

    def __init__(self, journal: Journal, staff: Staff, outlet: Outlet, rules: Rules, keys: KeyRing) -> None:
        self.rules = rules
        self.counters: Counter[str] = Counter()
        self._journal = journal
        self._staff = staff
        self._outlet = outlet
        self._keys = keys
        self._charges: dict[str, Charge] = {}
        self.effects = Effects()
        #: Grows whenever a job comes, goes or is to be stopped.
        self.changes = 0

    # -- what is there

    def jobs(self) -> Iterable[JobRecord]:
        """Return the jobs that are not over."""
        return (charge.job for charge in self._charges.values())

    def find(self, item_or_run: str) -> JobRecord | None:
        """Return the job of an item, run id or external name."""
        charge = self._charges.get(item_or_run)
        if charge is not None:
            return charge.job
        return next((job for job in self.jobs() if item_or_run in (job.spec.run_id, job.name)), None)

    def count(self, schedulers: bool) -> int:
        """Return how many slots are taken, of ordinary jobs or of sweep schedulers."""
        return sum(job.spec.is_scheduler is schedulers for job in self.jobs())

    # -- from the journal, at start

    def adopt(self, job: JobRecord) -> None:
        """Take ``job`` back into care after a restart."""
        if not job.may_exist_outside and job.state is not JobState.CLAIMED:
            job = moved(job, JobState.CLAIMED, time.time(), "the agent was restarted; the job starts over")
        job = msgspec.structs.replace(job, losses=0)
        self._charges[job.item_id] = Charge(job, is_being_adopted=job.may_exist_outside)

    # -- from the queue server

    def acknowledge_all(self) -> None:
        """Confirm again what the queue server may not have heard of: after a restart."""
        for job in self.jobs():
            if not job.acknowledged:
                self._acknowledge(job)

    def claimed(self, items: Iterable[ClaimedItem], agent_id: str) -> None:
        """Take in items that were leased to us as ``agent_id``."""
        hit("supervisor.claimed")
        for item in items:
            charge = self._charges.get(item.item_id)
            if charge is not None:
                # Leased to us again because our acknowledgement was lost: it needs another, not another run.
                self._acknowledge(charge.job)
            else:
                self._take_in(item, agent_id)

    def _take_in(self, item: ClaimedItem, agent_id: str) -> None:
        before = self._journal.job(item.item_id)
        if before is not None and before.is_over:
            log.warning(
                "An item that is over was leased to us again; its outcome is sent again.", extra=_fields(before)
            )
            self.effects.add(lambda: self._outlet.acknowledge(before))
            self._send_outcome(before)
            return
        if self._is_over_the_cap(item):
            log.warning("A sweep scheduler over max_schedulers is left to its lease.", extra={"item": item.item_id})
            return
        self.counters["claimed"] += 1
        match take_in(item, agent_id, self.rules, time.time()):
            case Accepted(job, submitter_key):
                log.info("A job was claimed.", extra=_fields(job))
                self._accept_item(job, submitter_key)
            case Rejected(job, error):
                log.info("A job was claimed.", extra=_fields(job))
                self._conclude(failed(job, error.report(), time.time()))

    def _is_over_the_cap(self, item: ClaimedItem) -> bool:
        # W&B's server cannot be asked for jobs alone; its agent, too, leaves such an item to the next.
        if item.run_spec.get("uri") != SCHEDULER_URI:
            return False
        limit = self.rules.config.max_schedulers
        return self.rules.free_slots(self.count(schedulers=True), limit) == 0

    def _accept_item(self, job: JobRecord, submitter_key: str | None) -> None:
        try:
            self._keys.keep(job.name, submitter_key)
        except OSError as error:
            sentence = f"The submitter's API key could not be kept on {self.rules.hostname}: {error.strerror}."
            self._conclude(failed(job, ErrorReport("agent", "KeyNotKept", sentence), time.time()))
            return
        self._keep(Charge(job), job)
        self.effects.add(lambda: hit("supervisor.journaled"))
        self._acknowledge(job)

    def _acknowledge(self, job: JobRecord) -> None:
        self.effects.add(lambda: self._outlet.acknowledge(job))

    def acknowledged(self, letter: Acknowledged) -> None:
        """Act on the queue server's answer to an acknowledgement."""
        hit("supervisor.acknowledged")
        charge = self._charges.get(letter.item_id)
        if charge is None or charge.job.acknowledged:
            return
        if letter.refusal is not None:
            self._give_up(charge.job, ErrorReport("agent", "SweepOver", letter.refusal))
        elif letter.accepted or charge.job.handle is not None:
            charge.job = msgspec.structs.replace(charge.job, acknowledged=True)
            self._go_ahead(charge)
        else:
            log.warning(
                "The queue server gave the item to somebody else; the job is dropped.", extra=_fields(charge.job)
            )
            self._drop(charge.job)

    def _drop(self, job: JobRecord) -> None:
        # Without our acknowledgement its worker was never told to go ahead: nothing exists outside.
        self._journal.forget(job.item_id)
        self._release(job)
        worker = self._staff.worker_of(job.item_id)
        if worker is not None:
            worker.kill("its item is not ours")

    def stop(self, order: StopOrder) -> bool:
        """Stop the job of an item; returns whether it is in our care."""
        charge = self._charges.get(order.item_id)
        if charge is None:
            return False
        if charge.job.stop_reason is not None:
            return True
        job = msgspec.structs.replace(charge.job, stop_reason=order.reason or "somebody asked for it")
        self._keep(charge, job)
        log.info("A job is to be stopped.", extra=_fields(job) | {"reason": job.stop_reason})
        worker = self._staff.worker_of(job.item_id)
        if worker is not None:
            self.effects.add(lambda: worker.send(self._cancel(job)))
        elif not job.may_exist_outside:
            self._conclude(ended(job, JobState.STOPPED, ExitResult(), time.time()))
        return True

    def _cancel(self, job: JobRecord) -> Cancel:
        return Cancel(job.stop_reason or "", self.rules.config.launchd.jobs.stop_grace_seconds)

    # -- from a worker

    def heard(self, worker: Worker, event: Event) -> None:
        """Act on what the worker of a job says."""
        charge = self._charges.get(worker.item_id or "")
        if charge is None:
            return
        self._note_adoption(charge)
        job = charge.job
        match event:
            case PhaseChanged(state, message):
                self._move(charge, state, message)
            case Submitting():
                self._keep(charge, msgspec.structs.replace(job, recorded=True))
                charge.awaits_go_ahead = True
                self._go_ahead(charge)
            case Submitted(handle):
                hit("supervisor.submitted")
                self._keep(charge, msgspec.structs.replace(job, handle=handle, recorded=True))
                # Nothing waits for it, but whoever adopts the job should not have to look for it.
                self.effects.hurry()
                self._forget_key(job)
            case Warned(message, stage):
                log.warning("A job has a warning.", extra=_fields(job) | {"warning": message})
                self._deliver(job, "warning", {"message": message, "stage": stage})
            case Finished() | Failed():
                # Not the truth before its sender has left with exit code 0.
                charge.outcome = event
            case Hello() | Heartbeat():
                pass

    def _note_adoption(self, charge: Charge) -> None:
        if charge.is_being_adopted:
            charge.is_being_adopted = False
            self.counters["adopted"] += 1
            log.info("A job of the agent before us is adopted.", extra=_fields(charge.job))

    def _move(self, charge: Charge, state: JobState, message: str | None) -> None:
        job = charge.job
        try:
            after = moved(job, state, time.time(), message)
        except IllegalTransition as error:
            log.error(
                "A worker reported an impossible change; it is ignored.", extra=_fields(job) | {"error": str(error)}
            )
            return
        if state is JobState.CLAIMED:
            after = msgspec.structs.replace(after, recorded=False, handle=None)
        if state is job.state:
            charge.job = after
        else:
            log.info("A job changed its state.", extra=_fields(after) | {"before": str(job.state)})
            self._keep(charge, after)
        self._outlet.show(after)

    def _go_ahead(self, charge: Charge) -> None:
        """Tell the worker that waits to create the workload, once the item is ours and the name is on disk."""
        job = charge.job
        worker = self._staff.worker_of(job.item_id)
        if worker is not None and job.acknowledged and charge.awaits_go_ahead:
            charge.awaits_go_ahead = False
            self.effects.add(lambda: _send_recorded(worker, job.name))

    def died(self, worker: Worker, exit_code: int) -> None:
        """Act on the death of a worker; everything it sent has been heard."""
        charge = self._charges.get(worker.item_id or "")
        outcome = charge.outcome if charge is not None else None
        clean = exit_code in (WorkerExit.DONE, WorkerExit.DETACHED, WorkerExit.ORPHANED)
        lost = not clean or (charge is not None and exit_code == WorkerExit.DONE and outcome is None)
        self._staff.bury(worker, lost)
        if charge is None:
            return
        charge.awaits_go_ahead, charge.outcome = False, None
        if exit_code == WorkerExit.DONE and outcome is not None:
            self._accept(charge.job, outcome)
        elif lost:
            self._lose_worker(charge, worker, exit_code)
        else:
            charge.staff_at = 0.0

    def _accept(self, job: JobRecord, outcome: Finished | Failed) -> None:
        hit("supervisor.outcome")
        now = time.time()
        match outcome:
            case Finished(state, result):
                self._conclude(ended(job, state, result, now))
            case Failed(report):
                self._conclude(failed(job, report, now))

    # -- losses and deadlines

    def _lose_worker(self, charge: Charge, worker: Worker, exit_code: int) -> None:
        self.counters["worker_losses"] += 1
        job = charge.job
        how = describe(exit_code) if worker.kill_reason is None else f"was killed because {worker.kill_reason}"
        log.warning("A job lost its worker.", extra=_fields(job) | {"pid": worker.pid, "how": how})
        overdue, charge.overdue = charge.overdue, None
        if job.may_exist_outside:
            lived_long = time.monotonic() - charge.staffed_at > LONG_LIFE_SECONDS
            losses = 1 if lived_long else job.losses + 1
            self._restaff(charge, msgspec.structs.replace(job, losses=losses))
        elif overdue is not None:
            self._conclude(failed(job, overdue, time.time()))
        elif job.stop_reason is not None:
            self._conclude(ended(job, JobState.STOPPED, ExitResult(), time.time()))
        elif exit_code != WorkerExit.UNKNOWN and job.losses + 1 >= self.rules.config.launchd.jobs.max_attempts:
            self._conclude(failed(job, self._worker_lost_report(job, how), time.time()))
        else:
            self._restaff(charge, started_over(job, exit_code, time.time()))

    def _worker_lost_report(self, job: JobRecord, how: str) -> ErrorReport:
        worker_log = f"{self.rules.job_directory(job.name)}/{WORKER_LOG_FILE}"
        return ErrorReport(
            "build" if job.state is JobState.BUILDING else "agent",
            "WorkerLost",
            f"The worker {how} while {job.state}, {job.losses + 1} times in a row.",
            f"Its log is {worker_log} on {self.rules.hostname}.",
        )

    def _restaff(self, charge: Charge, job: JobRecord) -> None:
        pause = RESTAFF_SECONDS[min(max(job.losses, 1), len(RESTAFF_SECONDS)) - 1]
        charge.job, charge.staff_at = job, time.monotonic() + pause

    def check_deadlines(self) -> None:
        """End workers that are over the time limit of their phase."""
        now = time.time()
        for charge in self._charges.values():
            job = charge.job
            limit = self.rules.phase_limit(job.state)
            worker = self._staff.worker_of(job.item_id)
            if limit is None or worker is None or worker.kill_reason is not None:
                continue
            if min(now - job.state_at, time.monotonic() - charge.staffed_at) < limit:
                continue
            sentence = f"{str(job.state).capitalize()} took longer than {limit:g} s."
            charge.overdue = ErrorReport("agent", "PhaseTimeout", sentence, "Raise launchd.supervision's limit.")
            log.error("A job is over the time limit of its phase; its worker is ended.", extra=_fields(job))
            worker.kill(f"{job.state} took longer than {limit:g} s")

    # -- workers for jobs

    def staff_jobs(self, keep_spares: bool) -> None:
        """Give workers to the jobs that have none, and order those that are missing."""
        now = time.monotonic()
        due = [charge for charge in self._charges.values() if charge.staff_at is not None and charge.staff_at <= now]
        for charge in due:
            if self._staff.has_spare():
                self._assign(charge)
        waiting = sum(charge.staff_at is not None for charge in due)
        self._staff.hire_for(waiting, keep_spares)

    def _assign(self, charge: Charge) -> None:
        job = charge.job
        order = self.rules.order(job)
        try:
            write_order(order)
        except OSError as error:
            self._note_trouble(charge, f"Its directory {order.directory} cannot be written: {error.strerror}.")
            return
        key = self._keys.key_for(job.name, job.submitter_key)
        command = (
            Adopt(order.directory, job.name, key, job.handle)
            if job.may_exist_outside
            else Start(order.directory, job.name, key)
        )
        charge.staff_at, charge.staffed_at = None, time.monotonic()
        worker = self._staff.assign(job.item_id)
        self.effects.add(lambda: _send_assignment(worker, command))
        if job.stop_reason is not None:
            # A stop request that came while nobody worked on the job.
            self.effects.add(lambda: worker.send(self._cancel(job)))

    def _note_trouble(self, charge: Charge, sentence: str) -> None:
        if charge.job.message != sentence:
            log.error("A job cannot be given to a worker.", extra=_fields(charge.job) | {"why": sentence})
            charge.job = msgspec.structs.replace(charge.job, message=sentence)
        charge.staff_at = time.monotonic() + RESTAFF_SECONDS[4]

    # -- the end of a job

    def _give_up(self, job: JobRecord, report: ErrorReport) -> None:
        worker = self._staff.worker_of(job.item_id)
        self._conclude(failed(job, report, time.time()))
        if worker is not None:
            worker.kill("its job is over")

    def _conclude(self, job: JobRecord) -> None:
        log.info(
            "A job is over.",
            extra=_fields(job) | {"outcome": str(job.state), "why": job.message, "exit_code": job.exit_code},
        )
        self.counters[job.state] += 1
        self._journal.save(job)
        self._release(job)
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

    def _release(self, job: JobRecord) -> None:
        self.changes += 1
        self._charges.pop(job.item_id, None)

    def _keep(self, charge: Charge, job: JobRecord) -> None:
        """Have ``job`` be the record of ``charge``, here and in the journal."""
        self.changes += 1
        charge.job = job
        self._charges[job.item_id] = charge
        self._journal.save(job)

    def _deliver(self, job: JobRecord, kind: str, body: dict[str, object]) -> None:
        delivery = self._journal.add_delivery(job, kind, body, time.time())
        self.effects.add(lambda: self._outlet.deliver(delivery))


def _send_assignment(worker: Worker, command: Start | Adopt) -> None:
    worker.send(command)
    hit("supervisor.worker_started")


def _send_recorded(worker: Worker, name: str) -> None:
    hit("supervisor.recorded")
    worker.send(Recorded(name))


def _fields(job: JobRecord) -> dict[str, object]:
    """Return what every log record about a job carries."""
    return {"item": job.item_id, "queue": job.queue, "run": job.spec.run_id, "job": job.name, "state": str(job.state)}
