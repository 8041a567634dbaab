"""A fault campaign: jobs run on a testbed whose processes are killed at random.

One thread pushes items and injects faults, so that an item is pushed only while the queue server is known to be alive:
an item that was pushed twice would look like a job that ran twice.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from random import Random

from benchmarks.fault_injector import FaultInjector
from benchmarks.fault_jobs import FaultJob, random_jobs
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import Item
from tests.support.testbed import OVER, AgentProcess, Testbed
from tests.support.waiting import wait_until

#: Shortest and longest pause between two faults.
PAUSE_SECONDS = (0.1, 1.5)

#: Shortest and longest time until a killed queue server or supervisor is started again.
SERVER_DOWN_SECONDS = (0.0, 2.0)
SUPERVISOR_DOWN_SECONDS = (0.0, 1.0)

#: Jobs in the queue or running, for each slot.
JOBS_PER_SLOT = 3

LOOP_SECONDS = 0.05
POLL_SECONDS = 0.5

#: No faults are injected after this time, even if jobs are left.
FAULTS_SECONDS = 60.0
FAULTS_SECONDS_PER_JOB = 1.2

#: The time without faults in which the remaining jobs have to end.
SETTLING_SECONDS = 60.0


class Campaign:
    """Pushes ``jobs`` jobs and injects faults until all have ended, and holds their outcomes.

    Attributes:
        runs: the file to which every job appends a line when it runs.
        pushed: the job of each item that was pushed, by item id.
        ended: the items that have ended, by id.
        kills: how often each fault was injected.
        unexpected_exits: the exit codes of supervisors that ended without a fault.
    """

    def __init__(self, testbed: Testbed, seed: int, jobs: int, max_jobs: int) -> None:
        self.runs = testbed.directory / "runs"
        self.pushed: dict[str, FaultJob] = {}
        self.ended: dict[str, Item] = {}
        self.kills: Counter[str] = Counter()
        self.unexpected_exits: list[int] = []
        self._testbed = testbed
        self._count = jobs
        self._slots = max_jobs
        self._jobs: Iterator[FaultJob] = random_jobs(Random(f"jobs {seed}"), jobs)
        self._random = Random(f"kills {seed}")
        self.injector = FaultInjector(testbed, self._random)
        self._next_fault = self.injector.choose()
        self._fault_at = 0.0
        self._poll_at = 0.0
        self._server_back_at = 0.0
        self._supervisor_back_at = 0.0

    def run(self) -> None:
        """Run the campaign: first with faults, then without, until all jobs have ended or the time is up."""
        faults_until = time.monotonic() + FAULTS_SECONDS + FAULTS_SECONDS_PER_JOB * self._count
        self._run_until(faults_until, with_faults=True)
        self._run_until(time.monotonic() + SETTLING_SECONDS, with_faults=False)

    @property
    def open_items(self) -> list[str]:
        """The ids of the items that have not ended, oldest first."""
        return [item_id for item_id in self.pushed if item_id not in self.ended]

    def _run_until(self, deadline: float, with_faults: bool) -> None:
        while time.monotonic() < deadline and not self._has_ended():
            self._restart_dead()
            if self.injector.queue_server_is_alive():
                self._push()
                self._poll_items()
            if with_faults:
                self._inject_fault()
            time.sleep(LOOP_SECONDS)
        # The remaining jobs need a queue server and a supervisor to end.
        self._server_back_at = self._supervisor_back_at = 0.0
        self._restart_dead()
        wait_until(self.injector.queue_server_is_alive, timeout=30, what="the queue server is back")

    def _has_ended(self) -> bool:
        return len(self.ended) == self._count

    def _push(self) -> None:
        while len(self.pushed) - len(self.ended) < JOBS_PER_SLOT * self._slots:
            job = next(self._jobs, None)
            if job is None:
                return
            item_id = self._testbed.push(*job.command(self.runs))
            self.pushed[item_id] = job

    def _poll_items(self) -> None:
        if time.monotonic() < self._poll_at:
            return
        self._poll_at = time.monotonic() + POLL_SECONDS
        # A server that has just started may be too busy; the next poll asks again.
        with suppress(QueueServerError):
            for item_id in self.open_items[: 2 * self._slots]:
                item = self._testbed.item(item_id)
                if item.state in OVER:
                    self.ended[item_id] = item

    def _inject_fault(self) -> None:
        now = time.monotonic()
        if now < self._fault_at:
            return
        self.injector.reap()
        if not self.injector.inject(self._next_fault):
            # There is no such process now; a later call finds one.
            return
        self.kills[self._next_fault] += 1
        match self._next_fault:
            case "queue server SIGKILL":
                self._server_back_at = now + self._random.uniform(*SERVER_DOWN_SECONDS)
            case "supervisor SIGKILL":
                self._supervisor_back_at = now + self._random.uniform(*SUPERVISOR_DOWN_SECONDS)
        self._next_fault = self.injector.choose()
        self._fault_at = now + self._random.uniform(*PAUSE_SECONDS)

    def _restart_dead(self) -> None:
        """Start the queue server and the supervisor again, as systemd would."""
        now = time.monotonic()
        if now >= self._server_back_at and not self.injector.queue_server_is_alive():
            self.injector.start_queue_server()
        if now >= self._supervisor_back_at and not self.injector.supervisor_is_alive():
            self._record_unexpected_exit()
            self._testbed.agent = AgentProcess(self._testbed, {})

    def _record_unexpected_exit(self) -> None:
        code = self._testbed.agent.exit_code() if self._testbed.agent else None
        if code is not None and code != -9:
            self.unexpected_exits.append(code)
