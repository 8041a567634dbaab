"""Listens to the supervisor while the job's own thread is busy.

Owns the one thread beside the job's: it reads commands, sends heartbeats and watches for the supervisor's death. It
never touches the workload.
"""

import os
import threading
import time
from multiprocessing import connection, parent_process

from ipc.channel import ChannelClosed, WorkerEnd
from ipc.exits import WorkerExit
from ipc.messages import Detach, Event, Heartbeat, LookAgain, Stop, SubmitApproved
from workers.context import DetachSignal, JobContext, StopSignal

#: A job's thread that does not notice that it has to leave is cut short after this.
LEAVE_SECONDS = 10.0


class EventSender:
    """Sends events from the job's thread and from the control thread, one at a time."""

    def __init__(self, end: WorkerEnd) -> None:
        self._end = end
        self._lock = threading.Lock()

    def send(self, event: Event) -> None:
        """Send ``event``; raises ``ChannelClosed`` when the supervisor is gone."""
        with self._lock:
            self._end.send(event)


class ControlThread(threading.Thread):
    """Passes what the supervisor says on to the job's thread, until the worker is to leave."""

    def __init__(self, end: WorkerEnd, sender: EventSender, context: JobContext) -> None:
        super().__init__(name="control", daemon=True)
        self._end = end
        self._sender = sender
        self._context = context
        self._heartbeat_seconds = context.order.supervision.worker_heartbeat_seconds
        self._received = threading.Condition()
        self._submit_approved = False
        self._leaving = False

    def run(self) -> None:
        """Listen until the worker is to leave."""
        try:
            self._listen()
        except ChannelClosed:
            self._on_detach(WorkerExit.ORPHANED)

    def wait_submit_approved(self) -> None:
        """Wait until the workload name is on disk.

        Raises:
            JobCancelled: the job was stopped meanwhile.
            DetachRequested: the worker is to leave.
        """
        with self._received:
            self._received.wait_for(lambda: self._submit_approved or self._context.is_interrupted())
        self._context.raise_if_interrupted()

    def _listen(self) -> None:
        parent = parent_process()
        sources: list[int] = [self._end.fileno()]
        if parent is not None:
            sources.append(parent.sentinel)
        # Due also where commands keep coming: that they are read is no news to the supervisor.
        heartbeat_at = time.monotonic() + self._heartbeat_seconds
        while not self._leaving:
            ready = connection.wait(sources, timeout=max(0.0, heartbeat_at - time.monotonic()))
            if self._end.fileno() in ready:
                self.dispatch()
            elif ready:
                raise ChannelClosed("the supervisor is gone")
            if time.monotonic() >= heartbeat_at:
                self._sender.send(Heartbeat())
                heartbeat_at = time.monotonic() + self._heartbeat_seconds

    def dispatch(self) -> None:
        """Read one command, and act on it; raises ``ChannelClosed``."""
        match self._end.receive():
            case SubmitApproved():
                with self._received:
                    self._submit_approved = True
                    self._received.notify_all()
            case Stop(reason, grace_seconds):
                self._interrupt(StopSignal(reason, grace_seconds))
            case LookAgain():
                self._context.note_change()
            case Detach():
                self._on_detach(WorkerExit.DETACHED)
            case _:
                pass

    def _on_detach(self, exit_code: WorkerExit) -> None:
        # The last signal: after it no command is read, so that no stop replaces it.
        self._leaving = True
        self._interrupt(DetachSignal(exit_code))
        _end_process_after(LEAVE_SECONDS, exit_code)

    def _interrupt(self, signal: StopSignal | DetachSignal) -> None:
        with self._received:
            self._context.interrupt(signal)
            self._received.notify_all()


def _end_process_after(seconds: float, exit_code: WorkerExit) -> None:
    timer = threading.Timer(seconds, os._exit, args=(exit_code,))
    timer.daemon = True
    timer.start()
