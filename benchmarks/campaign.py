"""One fault campaign: a stream of jobs through a real house whose processes are killed at random.

The thread that pushes is the one that kills, so that an item is pushed only while the queue server is known to live:
an item pushed twice would look like a job that ran twice.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from random import Random

from benchmarks.fault_jobs import FaultJob, random_jobs
from benchmarks.victims import Victims
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import Item
from tests.support.testbed import OVER, AgentProcess, Testbed
from tests.support.waiting import wait_until

#: Between two kills.
KILL_SECONDS = (0.1, 1.5)

#: How long a dead queue server and a dead supervisor stay dead.
SERVER_AWAY_SECONDS = (0.0, 2.0)
SUPERVISOR_AWAY_SECONDS = (0.0, 1.0)

#: How many jobs stand in the queue or run, for each slot.
JOBS_PER_SLOT = 3

TURN_SECONDS = 0.05
LOOK_SECONDS = 0.5

#: The killing ends after this, whatever is left to do; then the house has as long again to settle.
KILLING_SECONDS = 60.0
KILLING_SECONDS_PER_JOB = 1.2
SETTLING_SECONDS = 60.0


class Campaign:
    """Pushes jobs and kills processes until all jobs are over; afterwards it holds what became of them."""

    def __init__(self, testbed: Testbed, seed: int, jobs: int, max_jobs: int) -> None:
        self.runs = testbed.directory / "runs"
        self.pushed: dict[str, FaultJob] = {}
        self.ended: dict[str, Item] = {}
        self.kills: Counter[str] = Counter()
        #: Exit codes of supervisors that nobody had killed.
        self.surprises: list[int] = []
        self._house = testbed
        self._count = jobs
        self._slots = max_jobs
        self._jobs: Iterator[FaultJob] = random_jobs(Random(f"jobs {seed}"), jobs)
        self._random = Random(f"kills {seed}")
        self.victims = Victims(testbed, self._random)
        self._next_kill = self.victims.draw()
        self._kill_at = 0.0
        self._look_at = 0.0
        self._server_back_at = 0.0
        self._supervisor_back_at = 0.0

    def run(self) -> None:
        """Run it: first with kills, then without until everything is over or the time is."""
        killing_until = time.monotonic() + KILLING_SECONDS + KILLING_SECONDS_PER_JOB * self._count
        self._turn_until(killing_until, with_kills=True)
        self._turn_until(time.monotonic() + SETTLING_SECONDS, with_kills=False)

    @property
    def open(self) -> list[str]:
        """The items that are not over, oldest first."""
        return [item_id for item_id in self.pushed if item_id not in self.ended]

    def _turn_until(self, deadline: float, with_kills: bool) -> None:
        while time.monotonic() < deadline and not self._is_over():
            self._revive()
            if self.victims.queue_server_is_alive():
                self._push()
                self._look()
            if with_kills:
                self._kill()
            time.sleep(TURN_SECONDS)
        # Whoever is dead by now is needed to see the end.
        self._server_back_at = self._supervisor_back_at = 0.0
        self._revive()
        wait_until(self.victims.queue_server_is_alive, timeout=30, what="the queue server is back")

    def _is_over(self) -> bool:
        return len(self.ended) == self._count

    def _push(self) -> None:
        while len(self.pushed) - len(self.ended) < JOBS_PER_SLOT * self._slots:
            job = next(self._jobs, None)
            if job is None:
                return
            item_id = self._house.push(*job.command(self.runs))
            self.pushed[item_id] = job

    def _look(self) -> None:
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        # A server that was started a moment ago may be too busy; the next look will do.
        with suppress(QueueServerError):
            for item_id in self.open[: 2 * self._slots]:
                item = self._house.item(item_id)
                if item.state in OVER:
                    self.ended[item_id] = item

    def _kill(self) -> None:
        now = time.monotonic()
        if now < self._kill_at:
            return
        self.victims.reap()
        if not self.victims.kill(self._next_kill):
            # The victim that was drawn is dead already: a later turn finds it alive.
            return
        self.kills[self._next_kill] += 1
        match self._next_kill:
            case "queue server SIGKILL":
                self._server_back_at = now + self._random.uniform(*SERVER_AWAY_SECONDS)
            case "supervisor SIGKILL":
                self._supervisor_back_at = now + self._random.uniform(*SUPERVISOR_AWAY_SECONDS)
        self._next_kill = self.victims.draw()
        self._kill_at = now + self._random.uniform(*KILL_SECONDS)

    def _revive(self) -> None:
        """Do what systemd does."""
        now = time.monotonic()
        if now >= self._server_back_at and not self.victims.queue_server_is_alive():
            self.victims.start_queue_server()
        if now >= self._supervisor_back_at and not self.victims.supervisor_is_alive():
            self._note_surprise()
            self._house.agent = AgentProcess(self._house, {})

    def _note_surprise(self) -> None:
        code = self._house.agent.exit_code() if self._house.agent else None
        if code is not None and code != -9:
            self.surprises.append(code)
