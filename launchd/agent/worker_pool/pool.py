"""The worker processes: spare ones, those with a job, and those that died or stopped sending heartbeats.

Knows which worker has which job. It decides nothing about a job: events and deaths go to
:mod:`launchd.agent.job_controller`.
"""

import logging
import selectors
import time
from collections.abc import Iterator

from ipc.exits import WorkerExit
from ipc.messages import Detach, Event, Hello
from launchd.agent.events import WorkerSpawned
from launchd.agent.worker_pool.spawner import Worker, WorkerSpawner
from launchd.config import SupervisionConfig

#: Seconds between an assignment and the start of the next spare worker: both at once would delay the job.
SPARE_DELAY_SECONDS = 0.1

#: Seconds before the next try after a worker could not be started.
SPAWN_RETRY_SECONDS = 1.0

#: Seconds that a worker may take to write the stacks of its threads.
ABORT_SECONDS = 5.0

#: Seconds between two checks of the heartbeats that count at most. Where the agent itself did not run for longer, as
#: when all of its processes or the host were stopped, that says nothing of its workers.
WATCHED_SECONDS = 5.0

log = logging.getLogger(__name__)


class WorkerPool:
    """All living workers of this supervisor. Main thread only."""

    def __init__(self, spawner: WorkerSpawner, selector: selectors.BaseSelector, config: SupervisionConfig) -> None:
        self._spawner = spawner
        self._selector = selector
        self.config = config
        self._spares: list[Worker] = []
        self._starting: set[Worker] = set()
        self._busy: dict[str, Worker] = {}
        self._ready: dict[Worker, None] = {}
        self._detaching = False
        self._assigned_at = 0.0
        self._missing = 0
        self._spawn_after = 0.0
        self._checked_at = time.monotonic()

    def __len__(self) -> int:
        return len(self._spares) + len(self._starting) + len(self._busy)

    def worker_of(self, item_id: str) -> Worker | None:
        """Return the worker that has the job of this item."""
        return self._busy.get(item_id)

    def add(self, event: WorkerSpawned) -> None:
        """Add a worker that was started; it becomes a spare one with its hello."""
        self._spawner.spawn_done()
        worker: Worker = event.worker
        self._starting.add(worker)
        for descriptor in worker.filenos():
            self._selector.register(descriptor, selectors.EVENT_READ, worker)
        if self._detaching:
            worker.send(Detach())

    def spawn_failed(self) -> None:
        """Note that an ordered worker will not come."""
        self._spawner.spawn_done()
        self._spawn_after = time.monotonic() + SPAWN_RETRY_SECONDS

    def assign(self, item_id: str) -> Worker:
        """Return a spare worker, from now on that of this item's job; there must be one."""
        worker = self._spares.pop()
        self._assigned_at = time.monotonic()
        worker.item_id = item_id
        # A spare one has nothing to say.
        worker.silent_for = 0.0
        self._busy[item_id] = worker
        return worker

    def has_spare(self) -> bool:
        """Return whether a job could be given to a worker at once."""
        return bool(self._spares)

    def scale_to(self, waiting: int, keep_spares: bool) -> None:
        """Order as many workers as ``waiting`` jobs need, and spare ones on top once the last job is on its way."""
        wanted = waiting + (self.config.spare_workers if keep_spares else 0)
        self._missing = max(0, wanted - len(self._spares) - len(self._starting) - self._spawner.pending)
        now = time.monotonic()
        if now < self._spawn_after or (not waiting and now - self._assigned_at < SPARE_DELAY_SECONDS):
            return
        for _ in range(self._missing):
            self._spawner.spawn()
        self._missing = 0

    @property
    def needs_spares(self) -> bool:
        """Whether spare workers are to be ordered soon."""
        return self._missing > 0

    def mark_ready(self, worker: Worker) -> None:
        """Note that ``worker`` has something to read or is dead."""
        self._ready[worker] = None

    def poll_events(self) -> Iterator[tuple[Worker, list[Event], int | None]]:
        """Yield each worker marked ready with its events and, if it is dead, its exit code.

        What it sent comes before its death, however the two became known.
        """
        ready, self._ready = self._ready, {}
        for worker in ready:
            # The exit code first: events read after it was seen are all there will ever be.
            exit_code = worker.exit_code()
            events = worker.events()
            self._note_hello(worker, events)
            if exit_code is not None:
                self._remove(worker)
            yield worker, events, exit_code

    def check_heartbeats(self) -> None:
        """End workers whose heartbeats stopped: first by SIGABRT, which logs their stacks, then by SIGKILL."""
        now = time.monotonic()
        watched, self._checked_at = min(now - self._checked_at, WATCHED_SECONDS), now
        dead = {worker for worker in self._all() if worker.is_dead()}
        exit_owed = any(worker.exit_code() is None for worker in dead)
        self._spawner.check_fork_server(exit_owed, watched, self.config.fork_server_silence_seconds)
        for worker in {*self._busy.values(), *self._starting} - dead:
            worker.silent_for += watched
            if worker.aborted_at is not None:
                if now - worker.aborted_at > min(ABORT_SECONDS, self.config.worker_silence_seconds):
                    worker.kill("it did not end when it was told to write down where it is")
            elif worker.silent_for > self.config.worker_silence_seconds:
                self._abort(worker)

    def _abort(self, worker: Worker) -> None:
        seconds = self.config.worker_silence_seconds
        log.error(
            "No heartbeat of a worker has arrived for too long; it is ended.",
            extra={"pid": worker.pid, "item": worker.item_id, "seconds": seconds},
        )
        worker.kill_reason = f"no heartbeat of it arrived for {seconds:g} s"
        worker.abort()

    def detach_all(self) -> None:
        """Have every worker leave, those still starting included; workloads run on."""
        self._detaching = True
        for worker in self._all():
            worker.send(Detach())

    def kill_all(self, reason: str) -> None:
        """End every worker at once."""
        for worker in self._all():
            worker.kill(reason)

    def _all(self) -> list[Worker]:
        return [*self._busy.values(), *self._starting, *self._spares]

    def _note_hello(self, worker: Worker, events: list[Event]) -> None:
        if worker in self._starting and Hello(worker.pid) in events:
            self._starting.discard(worker)
            self._spares.append(worker)

    def _remove(self, worker: Worker) -> None:
        for descriptor in worker.filenos():
            self._selector.unregister(descriptor)
        if worker in self._starting:
            log.error("A worker died before it could say hello.", extra={"pid": worker.pid, "exit": worker.exit_code()})
            self._starting.discard(worker)
            self._spawn_after = time.monotonic() + SPAWN_RETRY_SECONDS
        if worker in self._spares:
            self._spares.remove(worker)
            self._spawn_after = time.monotonic() + SPAWN_RETRY_SECONDS
        if worker.exit_code() == WorkerExit.STARVED:
            self._spawn_after = time.monotonic() + SPAWN_RETRY_SECONDS
        if worker.item_id is not None:
            self._busy.pop(worker.item_id, None)
