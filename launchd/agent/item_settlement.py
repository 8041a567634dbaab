"""Decides what the queue server's word about an item means for its job. Main thread only.

An answer counts for the lease that it is about, and for no other one. A job that may exist outside is never dropped: it
goes on, or is stopped first. What the queue server holds as this agent's and this agent does not know is taken up from
what the host shows of it, or failed with the reason.
"""

import logging
from collections.abc import Iterable

import msgspec

from ipc.errors import ErrorReport
from ipc.failpoints import hit
from ipc.states import JobState
from launchd.agent.clock import Clock
from launchd.agent.events import Acknowledged
from launchd.agent.job_ends import JobEnds
from launchd.agent.job_record import JobRecord, fail, restart
from launchd.agent.job_table import ActiveJob, JobTable
from launchd.agent.journal import Journal
from launchd.agent.ports import JobReports
from launchd.agent.reconciliation import job_in_directory, job_without_trace, trace_lost, with_submitted_attempt
from launchd.agent.record_writer import RecordWriter, log_fields
from launchd.agent.worker_assignment import WorkerAssignment
from launchd.client.queue_server import ClaimedItem, HeldByServer, ItemAnswer, ItemResult, Resumed

#: Answers by which an item is another agent's, or will be: it must not be run here as well.
LOST_LEASE = (ItemAnswer.LEASE_ENDED, ItemAnswer.OVER)

log = logging.getLogger(__name__)


class ItemSettlement:
    """What agent and queue server know of the agent's items, brought together."""

    def __init__(
        self,
        records: RecordWriter,
        journal: Journal,
        table: JobTable,
        outbox: JobReports,
        assignment: WorkerAssignment,
        ends: JobEnds,
        clock: Clock,
    ) -> None:
        self._records = records
        self._journal = journal
        self._table = table
        self._outbox = outbox
        self._assignment = assignment
        self._ends = ends
        self._clock = clock

    # -- acknowledgements

    def acknowledge(self, job: JobRecord) -> None:
        """Acknowledge the item of ``job`` once the job is in the journal."""
        self._records.after_commit(job.item_id, lambda: self._outbox.acknowledge(job))

    def on_acknowledged(self, answer: Acknowledged) -> None:
        """Act on the queue server's answer to an acknowledgement."""
        with self._records.border(answer.item_id):
            hit("supervisor.acknowledged")
            active = self._table.get(answer.item_id)
            # An item without a job is settled once the queue server lists it: see `on_items_unknown`.
            if active is None or active.job.lease != answer.lease:
                return
            if answer.refusal is not None and not active.job.acknowledged:
                self._ends.fail(active, ErrorReport("agent", "SweepOver", answer.refusal))
            elif answer.answer is ItemAnswer.TAKEN:
                self._on_taken(active)
            else:
                self._on_not_taken(active, answer.answer, answer.message)

    def _on_taken(self, active: ActiveJob) -> None:
        active.confirmed, active.lease_lost = True, False
        if not active.job.acknowledged:
            self._records.save(msgspec.structs.replace(active.job, acknowledged=True))
        self._assignment.approve_submit(active)

    def _on_not_taken(self, active: ActiveJob, answer: ItemAnswer, message: str | None) -> None:
        job = active.job
        # No worker was permitted to create a workload.
        is_inside = not job.may_exist_outside or active.awaiting_submit
        if answer is ItemAnswer.REFUSED and not job.acknowledged:
            self._ends.fail(
                active, ErrorReport("agent", "ItemRefused", message or "The queue server refuses this item.")
            )
        elif is_inside and (not job.acknowledged or answer in LOST_LEASE):
            fields = log_fields(job) | {"answer": str(answer), "why": message}
            log.warning("The item of a job is not this agent's; the job is dropped.", extra=fields)
            self._ends.drop(job)
        else:
            self._on_lost(active, answer, message)

    def _on_lost(self, active: ActiveJob, answer: ItemAnswer, message: str | None) -> None:
        """Act on the answer that the item of a job which may exist outside is not this agent's."""
        job = active.job
        if job.acknowledged or job.handle is not None or answer is ItemAnswer.OVER:
            fields = log_fields(job) | {"answer": str(answer), "why": message}
            log.error(
                "The queue server does not have the item of a job as this agent's; the job goes on.", extra=fields
            )
            self._go_on(active, answer)
        else:
            # Where nothing of it exists, it is dropped. What does was created before the journal was restored.
            active.lease_lost = True
            self._ends.fail(active, ErrorReport("agent", "LeaseEnded", message or "The item is not this agent's now."))

    def _go_on(self, active: ActiveJob, answer: ItemAnswer) -> None:
        if answer in LOST_LEASE:
            active.confirmed, active.lease_lost = False, True
        else:
            # Nothing says that another agent has the item.
            self._on_taken(active)

    # -- leases

    def on_leased_again(self, active: ActiveJob, item: ClaimedItem, agent_id: str) -> None:
        """Acknowledge an item that was leased again, because an acknowledgement was lost: it needs no second run.

        A job that is being given up, for the lease before had ended, comes to its end first.
        """
        if active.lease_lost:
            active.leased_again = item, agent_id
            return
        self._records.save(_leased_again(active.job, item, agent_id))
        self.acknowledge(active.job)

    def on_known_item(self, before: JobRecord, item: ClaimedItem, agent_id: str) -> None:
        """Settle an item that is leased again after its job ended, or was set aside."""
        job = _leased_again(before, item, agent_id)
        if job.is_over:
            log.warning("An item that is over was leased again; its outcome is sent again.", extra=log_fields(job))
            self.acknowledge(job)
            self._ends.send_again(job)
        else:
            self.restore(job)
            self.acknowledge(job)

    # -- jobs of an earlier process

    def restore(self, before: JobRecord) -> None:
        """Make a job of the journal, or of its directory, one of the active jobs."""
        active = ActiveJob(before, phase_at=self._clock.monotonic(), adopting=before.may_exist_outside)
        self._table.put(active)
        with self._records.border(before.item_id):
            job = with_submitted_attempt(before, self._ends.context)
            if not job.may_exist_outside and job.state is not JobState.CLAIMED:
                job = restart(job, self._clock.now(), "The agent was restarted; the job starts over.")
            active.adopting = job.may_exist_outside
            restored = msgspec.structs.replace(job, losses=0)
            if restored != self._journal.job(before.item_id):
                self._records.save(restored)

    # -- what the queue server holds as this agent's

    def on_registered(self, resumed: Resumed, agent_id: str) -> None:
        """Act on a registration as ``agent_id``, and on what it settled about the items of this agent.

        Items that the queue server has not confirmed are acknowledged again.
        """
        results = {result.item_id: result for result in resumed.results}
        listed = {item.item_id: item.lease for item in resumed.unknown_to_agent}
        for active in self._table:
            job = active.job
            # What became of an earlier lease says nothing about an item that this agent has under a later one.
            if listed.get(job.item_id, job.lease) <= job.lease:
                with self._records.border(job.item_id):
                    self._on_registered(active, results.get(job.item_id))
        for item in resumed.unknown_to_agent:
            # Refused before the registration settled what the queue server knows: one that was restored from a copy
            # may learn only by it whose an item is.
            self._outbox.retry_outcomes(item.item_id, item.lease)
        self.on_items_unknown(resumed.unknown_to_agent, agent_id)

    def _on_registered(self, active: ActiveJob, result: ItemResult | None) -> None:
        if result is not None and result.answer is not ItemAnswer.TAKEN:
            self._on_not_taken(active, result.answer, result.message)
        elif active.job.acknowledged:
            self._on_taken(active)
        else:
            self.acknowledge(active.job)

    def on_items_unknown(self, items: Iterable[HeldByServer], agent_id: str) -> None:
        """Settle items that the queue server holds as this agent's, acknowledged, and that the agent did not name."""
        for item in items:
            try:
                self._on_item_unknown(item, agent_id)
            except Exception:
                # The queue server lists it again.
                log.exception("Settling an item raised an unexpected error.", extra={"item": item.item_id})

    def _on_item_unknown(self, item: HeldByServer, agent_id: str) -> None:
        active = self._table.get(item.item_id)
        if active is not None:
            self._on_later_lease(active, item, agent_id)
        elif self._outbox.has_outcome(item.item_id, item.lease):
            return
        elif self._outbox.has_refused_outcome(item.item_id, item.lease):
            log.error("The queue server holds an item whose outcome it does not take.", extra={"item": item.item_id})
        else:
            self._settle(item, agent_id)

    def _on_later_lease(self, active: ActiveJob, item: HeldByServer, agent_id: str) -> None:
        """Note a lease under which the item is acknowledged, and which the journal does not know: it was restored."""
        job = active.job
        if item.lease > job.lease:
            log.warning(
                "A job has a later lease than the journal knows.", extra=log_fields(job) | {"lease": item.lease}
            )
            held = _held(job, item, agent_id)
            self._records.save(held)
            if held.spec.run_id != job.spec.run_id:
                self._assignment.replace_worker(active, "its job is another run")
            self._on_taken(active)
        elif item.lease == job.lease:
            self._on_taken(active)

    def _settle(self, item: HeldByServer, agent_id: str) -> None:
        context, now = self._ends.context, self._clock.now()
        job = self._journal.job(item.item_id) or job_in_directory(item, agent_id, context, now)
        if job is None:
            lost = job_without_trace(item, agent_id, context, now)
            self._ends.finish(fail(lost, trace_lost(context), now))
            return
        job = _held(job, item, agent_id)
        if job.is_over:
            log.warning("The queue server does not have the outcome of a job; it is sent again.", extra=log_fields(job))
            self._ends.send_again(job)
        else:
            log.warning("A job that the agent had lost sight of is adopted.", extra=log_fields(job))
            self.restore(job)
            restored = self._table.get(job.item_id)
            if restored is not None:
                restored.confirmed = True


def _held(job: JobRecord, item: HeldByServer, agent_id: str) -> JobRecord:
    """Return ``job`` under the lease, and as the run, for which the queue server has its item acknowledged."""
    spec = msgspec.structs.replace(job.spec, run_id=item.run_id or job.spec.run_id)
    return msgspec.structs.replace(job, lease=item.lease, agent_id=agent_id, acknowledged=True, spec=spec)


def _leased_again(job: JobRecord, item: ClaimedItem, agent_id: str) -> JobRecord:
    # A W&B server numbers no leases: the further ones are counted.
    return msgspec.structs.replace(job, lease=item.lease or job.lease + 1, agent_id=agent_id)
