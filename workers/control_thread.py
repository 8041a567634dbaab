"""Hears the supervisor while the job's own thread is busy.

Owns the one thread beside the job's: it reads commands, sends heartbeats and
watches for the supervisor's death. It never touches the workload.
"""

import os
import threading
from multiprocessing import connection, parent_process

from ipc.channel import ChannelClosed, WorkerEnd
from ipc.exits import WorkerExit
from ipc.messages import Cancel, Detach, Event, Heartbeat, Recorded
from workers.context import JobContext

#: A job's thread that does not notice that it has to leave is cut short after this.
LEAVE_SECONDS = 10.0


class Leave(Exception):
    """The worker is to leave and let its workload run on."""

    def __init__(self, exit_code: WorkerExit) -> None:
        super().__init__(f"leaving with exit code {exit_code}")
        self.exit_code = exit_code


class Mailbox:
    """Sends events from the job's thread and from the listener, one at a time."""

    def __init__(self, end: WorkerEnd) -> None:
        self._end = end
        self._lock = threading.Lock()

    def send(self, event: Event) -> None:
        """Send ``event``; raises ``ChannelClosed`` when the supervisor is gone."""
        with self._lock:
            self._end.send(event)


class Listener(threading.Thread):
    """Keeps what the supervisor said, for the job's thread to act on."""

    def __init__(self, end: WorkerEnd, mailbox: Mailbox, context: JobContext, heartbeat_seconds: float) -> None:
        super().__init__(name="listener", daemon=True)
        self._end = end
        self._mailbox = mailbox
        self._context = context
        self._heartbeat_seconds = heartbeat_seconds
        self._heard = threading.Condition()
        self._recorded = False
        self._leave: WorkerExit | None = None
        self.cancel: Cancel | None = None

    def run(self) -> None:
        """Listen until the worker is to leave."""
        try:
            self._listen()
        except ChannelClosed:
            self._tell_leave(WorkerExit.ORPHANED)

    def wait_recorded(self) -> None:
        """Wait until the external name is on disk; raises :class:`Leave` or ``JobCancelled`` if that is told first."""
        with self._heard:
            self._heard.wait_for(lambda: self._recorded or self.cancel is not None or self._leave is not None)
        self.raise_if_leaving()
        self._context.raise_if_cancelled()

    def raise_if_leaving(self) -> None:
        """Raise :class:`Leave` once the worker is to leave."""
        if self._leave is not None:
            raise Leave(self._leave)

    def _listen(self) -> None:
        parent = parent_process()
        sources: list[int] = [self._end.fileno()]
        if parent is not None:
            sources.append(parent.sentinel)
        while self._leave is None:
            ready = connection.wait(sources, timeout=self._heartbeat_seconds)
            if self._end.fileno() in ready:
                self._hear()
            elif ready:
                raise ChannelClosed("the supervisor is gone")
            else:
                self._mailbox.send(Heartbeat())

    def _hear(self) -> None:
        match self._end.receive():
            case Recorded():
                with self._heard:
                    self._recorded = True
                    self._heard.notify_all()
            case Cancel() as cancel:
                self._tell_cancel(cancel)
            case Detach():
                self._tell_leave(WorkerExit.DETACHED)
            case _:
                pass

    def _tell_cancel(self, cancel: Cancel) -> None:
        with self._heard:
            self.cancel = cancel
            self._context.cancel(cancel.reason)
            self._heard.notify_all()

    def _tell_leave(self, exit_code: WorkerExit) -> None:
        with self._heard:
            self._leave = exit_code
            # A phase that runs is ended the way a stopped one is.
            self._context.cancel("the agent is leaving")
            self._heard.notify_all()
        _end_process_after(LEAVE_SECONDS, exit_code)


def _end_process_after(seconds: float, exit_code: WorkerExit) -> None:
    timer = threading.Timer(seconds, os._exit, args=(exit_code,))
    timer.daemon = True
    timer.start()
