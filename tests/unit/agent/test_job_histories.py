"""Random histories of jobs against the job controller: what must hold at every step, whoever dies when.

The model has what the controller cannot see: workloads outside, and workers that behave as real ones do until they die
or report the impossible. The agent may die and start again at any step, and its disk may be full.
"""

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ipc.errors import ErrorReport
from ipc.exits import WorkerExit
from ipc.handles import ExitResult, Handle
from ipc.messages import Adopt, Failed, Finished, PhaseChanged, Stop, SubmitApproved, Submitted, Submitting
from ipc.states import TERMINAL_STATES, JobState
from launchd.agent.events import Acknowledged
from launchd.client.queue_server import ClaimedItem, ItemAnswer, StopRequest
from tests.support.controller_harness import AGENT, SPEC, ControllerHarness, StubWorker

ITEMS = ("a", "b", "c")

#: The longest that a job may wait for its next worker.
LONGEST_PAUSE_SECONDS = 60.0
EXIT_CODES = (WorkerExit.DETACHED, WorkerExit.ORPHANED, WorkerExit.UNKNOWN, WorkerExit.CRASHED, -9, 1)


class JobHistories(RuleBasedStateMachine):
    """Three items, and everything that may happen to them in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory(prefix="histories-")
        self.harness = ControllerHarness(Path(self._directory.name))
        #: Workloads that exist outside, by name; and how often each was created.
        self.workloads: dict[str, str] = {}
        self.created: dict[str, int] = {}
        self.not_found: dict[str, int] = {}
        self.outcomes: dict[str, list[str]] = {}
        self.read: dict[StubWorker, int] = {}
        self.announced: set[StubWorker] = set()
        self.ended: dict[str, JobState] = {}
        self.writable = True

    def teardown(self) -> None:
        self.harness.close()
        self._directory.cleanup()

    # -- the loop, and the disk under it

    def _turn(self) -> None:
        self.harness.turn()
        for worker in list(self.harness.pool.busy.values()):
            self._obey(worker)

    @rule()
    def the_disk_fills_or_is_cleared(self) -> None:
        self.writable = not self.writable
        self.harness.set_writable(writable=self.writable)
        self._turn()

    @rule(seconds=st.sampled_from([0.6, 2.0, 61.0, 100_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.harness.clock.advance(seconds)
        self.harness.controller.check_deadlines()
        self._turn()

    @rule()
    def the_agent_dies_and_starts_again(self) -> None:
        self._collect_outcomes()
        self.harness.close()
        self.harness._start()
        self.harness.set_writable(writable=self.writable)
        self.harness.controller.restore()
        self.harness.controller.on_registered(None, AGENT)
        self._turn()

    # -- the queue server

    @rule(item=st.sampled_from(ITEMS), spec=st.sampled_from([{}, {}, {"resource": 7}, {"project": "\ud800"}]))
    def an_item_is_claimed(self, item: str, spec: dict[str, object]) -> None:
        claimed = ClaimedItem(item, "default", SPEC | {"run_id": f"run-{item}"} | spec)
        self.harness.controller.on_claimed([claimed], AGENT)
        self._turn()

    @rule(item=st.sampled_from(ITEMS), answer=st.sampled_from(["yes", "yes", "no", "sweep over"]))
    def an_acknowledgement_is_answered(self, item: str, answer: str) -> None:
        refusal = "The sweep is over." if answer == "sweep over" else None
        active = self.harness.table.get(item)
        lease = active.job.lease if active is not None else 0
        word = ItemAnswer.LEASE_ENDED if answer == "no" else ItemAnswer.TAKEN
        self.harness.controller.on_acknowledged(Acknowledged(item, lease, word, refusal=refusal))
        self._turn()

    @rule(item=st.sampled_from(ITEMS))
    def a_stop_is_requested(self, item: str) -> None:
        self.harness.controller.stop(StopRequest(item, "a reason"))
        self._turn()

    # -- workers, which do what real ones do

    def _obey(self, worker: StubWorker) -> None:
        """Have a worker act on what it was told since the last time."""
        for command in worker.sent[self.read.get(worker, 0) :]:
            self.read[worker] = self.read.get(worker, 0) + 1
            match command:
                case SubmitApproved(name):
                    self._create(worker.item_id or "", name)
                case Adopt(name=name) if name not in self.workloads:
                    self.not_found[name] = self.not_found.get(name, 0) + 1
                    self._report(worker, PhaseChanged(JobState.CLAIMED))
                case _:
                    pass

    def _create(self, item: str, name: str) -> None:
        job = self.harness.job(item)
        assert (job.name, job.recorded, job.acknowledged) == (name, True, True), "created without a name on disk"
        assert item not in self.workloads.values(), "two workloads of one item"
        assert name not in self.workloads, "one submission too many"
        self.workloads[name] = item
        self.created[name] = self.created.get(name, 0) + 1
        assert self.created[name] <= 1 + self.not_found.get(name, 0), "created twice and never missed"

    def _report(self, worker: StubWorker, event: PhaseChanged | Submitting | Submitted | Finished | Failed) -> None:
        self.harness.controller.on_event(worker, event)

    def _living(self, item: str) -> StubWorker | None:
        worker = self.harness.pool.busy.get(item)
        return worker if worker is not None and worker.sent and worker.kill_reason is None else None

    @rule(item=st.sampled_from(ITEMS), state=st.sampled_from(list(JobState)))
    def a_worker_reports_a_phase(self, item: str, state: JobState) -> None:
        worker = self._living(item)
        active = self.harness.table.get(item)
        # A real worker says "claimed" only of a workload that it did not find.
        if worker is not None and active is not None and (state is not JobState.CLAIMED or not active.job.recorded):
            self._report(worker, PhaseChanged(state, "on its way"))
            self._turn()

    @rule(item=st.sampled_from(ITEMS))
    def a_worker_announces_its_workload(self, item: str) -> None:
        worker, active = self._living(item), self.harness.table.get(item)
        if (
            worker is not None
            and active is not None
            and active.job.name not in self.workloads
            and worker not in self.announced
        ):
            # A real worker announces its workload once, and waits for the answer.
            self.announced.add(worker)
            self._report(worker, Submitting(active.job.name))
            self._turn()

    @rule(item=st.sampled_from(ITEMS))
    def a_worker_tells_its_handle(self, item: str) -> None:
        worker, active = self._living(item), self.harness.table.get(item)
        if worker is not None and active is not None and active.job.name in self.workloads:
            self._report(worker, Submitted(Handle("local-process", active.job.name)))
            self._turn()

    @rule(item=st.sampled_from(ITEMS), state=st.sampled_from(list(JobState)))
    def a_worker_ends_with_an_outcome(self, item: str, state: JobState) -> None:
        worker, active = self._living(item), self.harness.table.get(item)
        if worker is None or active is None:
            return
        if state in TERMINAL_STATES:
            self.workloads.pop(active.job.name, None)
        outcome = (
            Failed(ErrorReport("run", "E", "It broke."))
            if state is JobState.FAILED
            else Finished(state, ExitResult(code=0))
        )
        self._report(worker, outcome)
        self._exit(item, WorkerExit.DONE)

    @rule(item=st.sampled_from(ITEMS), code=st.sampled_from(EXIT_CODES))
    def a_worker_dies(self, item: str, code: int) -> None:
        if item in self.harness.pool.busy:
            self._exit(item, code)

    def _exit(self, item: str, code: int) -> None:
        worker = self.harness.pool.busy.pop(item)
        self.harness.controller.on_exit(worker, code)
        self._turn()

    @precondition(lambda self: any(worker.kill_reason for worker in self.harness.pool.busy.values()))
    @rule()
    def killed_workers_are_gone(self) -> None:
        for item, worker in list(self.harness.pool.busy.items()):
            if worker.kill_reason is not None:
                self._exit(item, -9)

    # -- what holds at every step

    def _collect_outcomes(self) -> None:
        for item in ITEMS:
            for outcome in self.harness.reporter.outcomes(item):
                self.outcomes.setdefault(item, []).append(outcome.status)
        self.harness.reporter.deliveries.clear()

    def _on_disk(self) -> dict[str, tuple[str, bool]]:
        db = sqlite3.connect(self.harness.journal.path)
        try:
            rows = db.execute("SELECT item_id, json_extract(record, '$.state'), over FROM jobs").fetchall()
        finally:
            db.close()
        return {item: (state, bool(over)) for item, state, over in rows}

    @invariant()
    def an_end_stays_as_it_is(self) -> None:
        for item, (state, over) in self._on_disk().items():
            if over:
                assert self.ended.setdefault(item, JobState(state)) == state

    @invariant()
    def the_server_hears_nothing_that_is_not_on_disk(self) -> None:
        on_disk = self._on_disk()
        self._collect_outcomes()
        for item, told in self.outcomes.items():
            assert set(told) == {on_disk[item][0]}

    @invariant()
    def no_workload_is_forgotten(self) -> None:
        on_disk = self._on_disk()
        for item in self.workloads.values():
            assert item in on_disk

    @invariant()
    def a_stop_reaches_its_worker(self) -> None:
        for active in self.harness.table:
            worker = self.harness.pool.busy.get(active.job.item_id)
            if active.job.stop_reason is not None and worker is not None and worker.sent and worker.kill_reason is None:
                assert Stop in worker.commands()

    @invariant()
    def every_active_job_has_a_worker_or_will_get_one(self) -> None:
        latest = self.harness.clock.monotonic() + LONGEST_PAUSE_SECONDS
        for active in self.harness.table:
            has_worker = active.job.item_id in self.harness.pool.busy
            assert has_worker or (active.assign_at is not None and active.assign_at <= latest)


# Many steps: on a busy machine they take longer than a test usually may.
TestJobHistories = pytest.mark.timeout(300)(JobHistories.TestCase)
TestJobHistories.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
