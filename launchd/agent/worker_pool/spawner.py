"""Starts worker processes through the fork server, and holds their channels.

Spawning waits for the fork server, which may hang, so it has a thread of its own; everything else is called from the
main thread alone.
"""

import contextlib
import itertools
import logging
import os
import queue
import select
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess

import psutil

from ipc.bootstrap import PRELOAD_VARIABLE, SERVICES_VARIABLE, fork_server_pid, spawn_worker, start_fork_server
from ipc.channel import ChannelClosed, SupervisorEnd, open_channel
from ipc.messages import CannotEncode, Command, Event, MalformedMessage
from launchd.agent.events import EventQueue, WorkerSpawned, WorkerSpawnFailed

WORKER_TARGET = "workers.main:main"
PRELOAD = "workers.preload"

#: Seconds that a killed worker may take to be gone before that is logged.
KILL_SECONDS = 10.0

#: Seconds that a new fork server may import what workers need, as long as it is seen to work.
PRELOAD_SECONDS = 300.0

log = logging.getLogger(__name__)


class Worker:
    """One worker process as the supervisor sees it. ``item_id`` is its job's item, ``None`` while it is spare."""

    def __init__(self, process: ForkServerProcess, end: SupervisorEnd) -> None:
        self._process = process
        self._end = end
        self.pid: int = process.pid or 0
        self._pidfd = os.pidfd_open(self.pid)
        self.item_id: str | None = None
        #: Seconds that the pool has watched it since its last event.
        self.silent_for = 0.0
        self.aborted_at: float | None = None
        self.kill_reason: str | None = None

    def send(self, command: Command) -> None:
        """Send ``command``; a worker that is gone, or cannot be told it, will be noticed by its death."""
        try:
            self._end.send(command)
        except ChannelClosed:
            log.debug("A command could not be sent to a worker that is gone.", extra={"pid": self.pid})
        except CannotEncode as error:
            log.error(
                "A worker cannot be told what to do and is killed.",
                extra={"pid": self.pid, "item": self.item_id, "error": str(error)},
            )
            self.kill(f"it could not be told what to do: {error}")

    def offer(self, command: Command) -> None:
        """Send ``command`` unless the worker has left so many unread that sending waits for it; then it is lost."""
        if self._end.has_room():
            self.send(command)

    def events(self) -> list[Event]:
        """Return the events that the worker has sent since the last call."""
        events = []
        try:
            while (event := self._end.receive()) is not None:
                events.append(event)
        except ChannelClosed:
            pass
        except MalformedMessage as error:
            log.error(
                "A worker sent something that is no message and is killed.",
                extra={"pid": self.pid, "error": str(error)},
            )
            self.kill("it sent something that is no message")
        if events:
            self.silent_for = 0.0
        return events

    def filenos(self) -> tuple[int, int]:
        """Return the descriptors to wait on: the next event, and the death."""
        return self._end.fileno(), self._process.sentinel

    def exit_code(self) -> int | None:
        """Return the exit code of a dead worker as in ``ipc.exits``, ``None`` of a living one."""
        return self._process.exitcode

    def is_dead(self) -> bool:
        """Return whether the kernel has seen the worker die, also where the fork server has not reported it."""
        return _is_readable(self._pidfd, 0)

    def abort(self) -> None:
        """Make the worker write down where it hangs, and end it."""
        self.aborted_at = time.monotonic()
        self._signal(signal.SIGABRT)

    def kill(self, reason: str) -> None:
        """End the worker at once; ``reason`` is told with its death."""
        self.kill_reason = self.kill_reason or reason
        self._signal(signal.SIGKILL)

    def reap(self, *, lost: bool) -> None:
        """Release a dead worker; one that was ``lost`` is first made sure to be dead, with what it started."""
        if lost:
            self._ensure_dead()
        self._end.close()
        os.close(self._pidfd)
        self._process.close()

    def _ensure_dead(self) -> None:
        self._signal(signal.SIGKILL)
        if not _is_readable(self._pidfd, KILL_SECONDS):
            log.error("A killed worker is still there.", extra={"pid": self.pid, "after_seconds": KILL_SECONDS})
        _kill_session(self.pid)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)


class Preload:
    """Whether a fork server still imports what workers need: it has started no worker yet, and is seen to work."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._worked = 0.0
        self._seconds = 0.0
        #: The fork server that has started the last worker.
        self.done_by: int | None = None

    def goes_on(self, pid: int, watched: float) -> bool:
        """Return whether the fork server ``pid`` has worked on it since the last call, ``watched`` seconds ago."""
        if pid == self.done_by:
            return False
        worked = _cpu_seconds(pid)
        has_worked = pid != self._pid or worked > self._worked
        self._seconds = self._seconds + watched if pid == self._pid else 0.0
        self._pid, self._worked = pid, worked
        return has_worked and self._seconds < PRELOAD_SECONDS


class WorkerSpawner:
    """Starts workers one at a time, each with a private channel; each arrives as the event ``WorkerSpawned``."""

    def __init__(self, events: EventQueue, resources: Sequence[str], runtime_dir: str = "") -> None:
        """Start the fork server, ready for jobs on ``resources``; first of all things, see ``ipc.bootstrap``.

        The processes that serve all workers listen in ``runtime_dir``; without one there are none.
        """
        os.environ[PRELOAD_VARIABLE] = ",".join(resources)
        os.environ[SERVICES_VARIABLE] = runtime_dir
        start_fork_server([PRELOAD])
        self._events = events
        self._requests: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        #: The number of the spawn that is under way, and of that which the last check saw.
        self._spawning: int | None = None
        self._checked_spawn: int | None = None
        self._spawning_for = 0.0
        self._exit_owed_for = 0.0
        self._preload = Preload()
        self.pending = 0

    def spawn(self) -> None:
        """Ask for one more worker."""
        self.pending += 1
        self._requests.put(None)
        if self._thread is None:
            self._start_thread()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._spawn_requested, name="spawner", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # Python's word for a thread that the kernel refused. The next request tries again.
            self._requests.get()
            self._events.put(WorkerSpawnFailed(str(error)))
        else:
            self._thread = thread

    def spawn_done(self) -> None:
        """Note that the answer to one :meth:`spawn` has arrived: a worker, or that there is none."""
        self.pending -= 1

    def check_fork_server(self, owes_an_exit_code: bool, watched: float, limit: float) -> None:
        """Kill a fork server that has owed an answer for more than ``limit`` seconds of those that were watched.

        ``watched`` are the seconds since the last check. It owes a worker while one is being spawned, and the exit code
        of each worker that died; one that has just been started answers once it has imported the SDKs of its targets.
        The next spawn starts a new fork server.
        """
        pid = fork_server_pid()
        if pid is not None and self._preload.goes_on(pid, watched):
            watched = 0.0
        self._exit_owed_for = self._exit_owed_for + watched if owes_an_exit_code else 0.0
        spawning = self._spawning
        is_same = spawning is not None and spawning == self._checked_spawn
        self._spawning_for = self._spawning_for + watched if is_same else 0.0
        self._checked_spawn = spawning
        if pid is not None and max(self._spawning_for, self._exit_owed_for) > limit:
            log.error("The fork server does not answer and is replaced.", extra={"pid": pid, "seconds": limit})
            self._checked_spawn, self._exit_owed_for = None, 0.0
            os.kill(pid, signal.SIGKILL)

    def _spawn_requested(self) -> None:
        for number in itertools.count():
            self._requests.get()
            self._spawning = number
            try:
                worker = _spawn()
                self._preload.done_by = fork_server_pid()
                self._events.put(WorkerSpawned(worker))
            except Exception as error:  # noqa: BLE001 (the next request may succeed; without this thread none would)
                self._events.put(WorkerSpawnFailed(f"{type(error).__name__}: {error}"))
            self._spawning = None


def _spawn() -> Worker:
    end, worker_end = open_channel()
    try:
        process = spawn_worker(WORKER_TARGET, worker_end)
        end.close_peer_ends()
        return Worker(process, end)
    except BaseException:
        end.close()
        raise


def _cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has had, 0 where it has gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _is_readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _kill_session(session: int) -> None:
    # What the worker has forked is in its session. Its tools are not: each has a monitor that sees the worker's end.
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
