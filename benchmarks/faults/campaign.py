"""A fault campaign: jobs run on a stage while one act after another is done to it.

One thread pushes items and does the acts, so that an item is pushed only while the queue server is known to be alive:
an item that was pushed twice would look like a job that ran twice.
"""

import heapq
import itertools
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from random import Random

from benchmarks.faults.acts import KINDS, planned_acts
from benchmarks.faults.jobs import FaultJob, random_jobs
from benchmarks.faults.stage import LEASE_SECONDS, Stage, Undo
from launchd.agent.control.client import ControlError
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import Item
from tests.support.testbed import OVER, QUICK

#: Jobs in the queue or running, for each slot.
JOBS_PER_SLOT = 3

LOOP_SECONDS = 0.05
POLL_SECONDS = 0.5

#: An act that found nothing to be done to for so long is left out.
VICTIM_SECONDS = 20.0

#: No acts are done after this time, even if jobs are left.
ACTS_SECONDS = 60.0
ACTS_SECONDS_PER_JOB = 3.0

#: The time without acts in which the remaining jobs have to end: more than the longest pause between two requests of
#: an agent that was refused, than a lease, and than a server waits for its agents after it was restored.
SETTLING_SECONDS = 150.0

#: A claimed item that the agent does not know for so long is forgotten: two heartbeats, and a lease's time for the
#: acknowledgement that is on its way.
FORGOTTEN_SECONDS = 2 * QUICK["wait_seconds"] + LEASE_SECONDS


class Campaign:
    """Pushes jobs and does acts until ``jobs`` have ended, and holds their outcomes.

    For one that a restored queue server does not have another one is pushed.

    Attributes:
        runs: the file to which every job appends a line when it runs.
        pushed: the job of each item that was pushed, by item id.
        ended: the items that have ended, by id.
        gone: the items that a restored queue server does not have.
        forgotten: items that stayed claimed while the agent did not know them, after the last act.
        open_between: when each item was pushed, and when it was first seen ended (monotonic seconds).
        acts: how often each kind of act was done.
    """

    def __init__(self, stage: Stage, seed: int, groups: Collection[str], jobs: int, max_jobs: int) -> None:
        self.stage = stage
        self.runs = stage.testbed.directory / "runs"
        self.pushed: dict[str, FaultJob] = {}
        self.ended: dict[str, Item] = {}
        self.gone: set[str] = set()
        self.forgotten: set[str] = set()
        self.open_between: dict[str, tuple[float, float | None]] = {}
        self.acts: Counter[str] = Counter()
        self._testbed = stage.testbed
        self._count = jobs
        self._slots = max_jobs
        self._jobs: Iterator[FaultJob] = random_jobs(Random(f"jobs {seed}"))
        self._plan = planned_acts(seed, groups)
        self._next = next(self._plan)
        self._next_at = 0.0
        self._poll_at = 0.0
        self._numbers = itertools.count()
        #: When to undo what, the earliest first; the number keeps the order of those due together.
        self._undo: list[tuple[float, int, Undo]] = []
        self._unknown_since: dict[str, float] = {}

    def run(self) -> None:
        """Run the campaign: first with acts, then without, until all jobs have ended or the time is up."""
        self._run_until(time.monotonic() + ACTS_SECONDS + ACTS_SECONDS_PER_JOB * self._count, with_acts=True)
        self._undo_all()
        self.stage.wait_until_up()
        self._run_until(time.monotonic() + SETTLING_SECONDS, with_acts=False)
        self._look_for_lost_outcomes()

    @property
    def open_items(self) -> list[str]:
        """The ids of the items that have not ended, oldest first."""
        return [item_id for item_id in self.pushed if item_id not in self.ended and item_id not in self.gone]

    def _run_until(self, deadline: float, *, with_acts: bool) -> None:
        while time.monotonic() < deadline and not self._has_ended(with_acts=with_acts):
            self.stage.restart_dead()
            self.stage.take_snapshots()
            if self.stage.queue_server_is_usable():
                self._use_queue_server(with_acts=with_acts)
            if with_acts:
                self._act()
            self._undo_due()
            time.sleep(LOOP_SECONDS)

    def _has_ended(self, *, with_acts: bool) -> bool:
        all_pushed = self.missing == 0 or not with_acts
        return all_pushed and not self.stage.restored and not self.open_items

    @property
    def missing(self) -> int:
        """How many jobs were still to be pushed when the time was up."""
        return self._count - (len(self.pushed) - len(self.gone))

    # -- jobs

    def _use_queue_server(self, *, with_acts: bool) -> None:
        # A server that has just started, or whose clock was set, may not answer; the next time asks again.
        with suppress(QueueServerError):
            self._look_after_restore()
            if with_acts:
                self._push()
            self._poll_items()
            if not with_acts:
                self._look_for_forgotten()

    def _push(self) -> None:
        at_first = JOBS_PER_SLOT * self._slots
        due = at_first + sum(KINDS[kind].jobs * count for kind, count in self.acts.items())
        while self.missing and len(self.open_items) < at_first and len(self.pushed) < due:
            job = next(self._jobs)
            item_id = self._testbed.push(*job.command(self.runs))
            self.pushed[item_id] = job
            self.open_between[item_id] = (time.monotonic(), None)

    def _poll_items(self) -> None:
        if time.monotonic() < self._poll_at:
            return
        self._poll_at = time.monotonic() + POLL_SECONDS
        for item_id in self.open_items[: 2 * self._slots]:
            item = self._testbed.client.item(item_id)
            if item is not None and item.state in OVER:
                self.ended[item_id] = item
                self.open_between[item_id] = (self.open_between[item_id][0], time.monotonic())

    def _look_after_restore(self) -> None:
        """Ask anew for what was pushed or seen ended since the snapshot that the queue server has come back with."""
        if not self.stage.restored:
            return
        since = min(snapshot.taken_at for snapshot in self.stage.restored) - POLL_SECONDS
        for item_id, (pushed_at, ended_at) in self.open_between.items():
            if item_id not in self.gone and (pushed_at > since or (ended_at or 0.0) > since):
                self._look_again(item_id)
        self.stage.restored.clear()

    def _look_again(self, item_id: str) -> None:
        item = self._testbed.client.item(item_id)
        if item is None:
            self.gone.add(item_id)
        if item is None or item.state not in OVER:
            self.ended.pop(item_id, None)
            self.open_between[item_id] = (self.open_between[item_id][0], None)

    def _look_for_lost_outcomes(self) -> None:
        """Take back the end of those that the queue server no longer shows as ended."""
        for item_id in list(self.ended):
            item = self._testbed.client.item(item_id)
            if item is None or item.state not in OVER:
                del self.ended[item_id]

    def _look_for_forgotten(self) -> None:
        now = time.monotonic()
        with suppress(ControlError):
            for item_id in self.open_items:
                item = self._testbed.client.item(item_id)
                if item is not None and item.state == "CLAIMED" and not self.stage.knows(item_id):
                    since = self._unknown_since.setdefault(item_id, now)
                    if now - since > FORGOTTEN_SECONDS:
                        self.forgotten.add(item_id)
                else:
                    self._unknown_since.pop(item_id, None)

    # -- acts

    def _act(self) -> None:
        now = time.monotonic()
        if now < self._next_at:
            return
        act = self._next
        undo = self.stage.begin(act)
        if undo is not None:
            self.acts[act.kind] += 1
            heapq.heappush(self._undo, (now + act.seconds, next(self._numbers), undo))
        elif now < self._next_at + VICTIM_SECONDS:
            # There is nothing to do it to now; a later call finds something.
            return
        self._next = next(self._plan)
        self._next_at = now + act.pause

    def _undo_due(self) -> None:
        while self._undo and self._undo[0][0] <= time.monotonic():
            heapq.heappop(self._undo)[2]()

    def _undo_all(self) -> None:
        while self._undo:
            heapq.heappop(self._undo)[2]()
