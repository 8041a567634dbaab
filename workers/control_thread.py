"""Hears the supervisor while the job's own thread is busy.

Owns the one thread beside the job's: it reads commands, sends heartbeats and
watches for the supervisor's death. It never touches the workload.
"""

import os
import threading
from multiprocessing import connection, parent_process

from ipc.channel import ChannelClosed, WorkerEnd
from ipc.exits import WorkerExit
from ipc.messages import Detach, Event, Heartbeat, Stop, SubmitApproved
from workers.context import JobContext

#: A job's thread that does not notice that it has to leave is cut short after this.
LEAVE_SECONDS = 10.0


class DetachRequested(Exception):
    """The worker is to leave and let its workload run on."""

    def __init__(self, exit_code: WorkerExit) -> None:
        super().__init__(f"leaving with exit code {exit_code}")
        self.exit_code = exit_code


class EventSender:
    """Sends events from the job's thread and from the listener, one at a time."""

    def __init__(self, end: WorkerEnd) -> None:
        self._end = end
        self._lock = threading.Lock()

    def send(self, event: Event) -> None:
        """Send ``event``; raises ``ChannelClosed`` when the supervisor is gone."""
        with self._lock:
            self._end.send(event)


class ControlThread(threading.Thread):
    """Keeps what the supervisor said, for the job's thread to act on."""

    def __init__(self, end: WorkerEnd, mailbox: EventSender, context: JobContext, heartbeat_seconds: float) -> None:
        super().__init__(name="listener", daemon=True)
        self._end = end
        self._sender = mailbox
        self._context = context
        self._heartbeat_seconds = heartbeat_seconds
        self._received = threading.Condition()
        self._submit_approved = False
        self._detach: WorkerExit | None = None
        self.cancel: Stop | None = None

    def run(self) -> None:
        """Listen until the worker is to leave."""
        try:
            self._listen()
        except ChannelClosed:
            self._on_detach(WorkerExit.ORPHANED)

    def wait_submit_approved(self) -> None:
        """Wait until the workload name is on disk; raises :class:`Leave` or ``JobCancelled`` if that is told first."""
        with self._received:
            self._received.wait_for(
                lambda: self._submit_approved or self.cancel is not None or self._detach is not None
            )
        self.raise_if_detaching()
        self._context.raise_if_cancelled()

    def raise_if_detaching(self) -> None:
        """Raise :class:`Leave` once the worker is to leave."""
        if self._detach is not None:
            raise DetachRequested(self._detach)

    def _listen(self) -> None:
        parent = parent_process()
        sources: list[int] = [self._end.fileno()]
        if parent is not None:
            sources.append(parent.sentinel)
        while self._detach is None:
            ready = connection.wait(sources, timeout=self._heartbeat_seconds)
            if self._end.fileno() in ready:
                self._dispatch()
            elif ready:
                raise ChannelClosed("the supervisor is gone")
            else:
                self._sender.send(Heartbeat())

    def _dispatch(self) -> None:
        match self._end.receive():
            case SubmitApproved():
                with self._received:
                    self._submit_approved = True
                    self._received.notify_all()
            case Stop() as cancel:
                self._on_stop(cancel)
            case Detach():
                self._on_detach(WorkerExit.DETACHED)
            case _:
                pass

    def _on_stop(self, cancel: Stop) -> None:
        with self._received:
            self.cancel = cancel
            self._context.cancel(cancel.reason)
            self._received.notify_all()

    def _on_detach(self, exit_code: WorkerExit) -> None:
        with self._received:
            self._detach = exit_code
            # A phase that runs is ended the way a stopped one is.
            self._context.cancel("the agent is leaving")
            self._received.notify_all()
        _end_process_after(LEAVE_SECONDS, exit_code)


def _end_process_after(seconds: float, exit_code: WorkerExit) -> None:
    timer = threading.Timer(seconds, os._exit, args=(exit_code,))
    timer.daemon = True
    timer.start()
