"""Sends the output of jobs to the queue server: while a reader looks at it there, and the end of each job's.

A thread of its own, beside those that claim and report. It reads the files of jobs, keeps nothing of them, and sends
at most :data:`PIECE_BYTES` of a job at a time; who looks at a job that writes faster sees the newest.
"""

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Iterable
from functools import partial

import msgspec

from launchd.agent.events import EventQueue, OutputWanted
from launchd.agent.output_tail import OutputTail, Part
from launchd.agent.server_link.protocol import ServerProtocol
from launchd.agent.server_link.retry import RetryingCaller, Stopped
from launchd.client.errors import Refused
from launchd.client.queue_server import OutputPiece

#: The most that is sent at once, and how far behind the end of an output its sending may be.
PIECE_BYTES = 256 * 1024
MOST_BEHIND = 1024 * 1024

#: Between two looks at the files of jobs that a reader looks at, in seconds.
READ_SECONDS = 0.25

#: How often the server hears of an output that does not grow, in seconds: it says whether a reader still looks.
SILENT_SECONDS = 5.0

#: What this agent does not have, or has sent to its end, is not begun again for so long, in seconds.
REST_SECONDS = 35.0

#: What stands for a time during which the output is wanted, where the server refuses it.
REFUSED = -1.0

#: How many ended jobs may wait for their outputs to be sent. The server asks for those of others when one looks.
MOST_ENDED = 1000


class OutputSource(msgspec.Struct, frozen=True):
    """Where the output of an item's job is: the directory of its present attempt, whose name is the attempt's."""

    directory: str
    is_over: bool

    @property
    def attempt(self) -> str:
        """The name of the attempt."""
        return self.directory.rpartition("/")[2]


class _Sent:
    """How far the output of one item was sent, for how long it is wanted, and until when nothing is done for it."""

    def __init__(self, source: OutputSource | None = None) -> None:
        self.source = source
        self.told_at = -math.inf
        self.position = 0
        self.wanted_seconds = math.inf
        self.rests_until = time.monotonic() + REST_SECONDS if source is None else None


class OutputSender(threading.Thread):
    """Sends outputs as the agent ``agent_id`` until told to end."""

    def __init__(self, protocol: ServerProtocol, agent_id: str, incarnation: str, events: EventQueue) -> None:
        super().__init__(name="output-sender", daemon=True)
        self._protocol = protocol
        self._agent_id = agent_id
        self._incarnation = incarnation
        self._events = events
        self._stopped = threading.Event()
        self._caller = RetryingCaller(events, self._stopped)
        self._changed = threading.Condition()
        self._wanted: dict[str, _Sent] = {}
        self._ended: deque[tuple[str, OutputSource]] = deque(maxlen=MOST_ENDED)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The items at whose output a reader looks."""
        with self._changed:
            return tuple(self._wanted)

    def want(self, items: Iterable[str]) -> None:
        """Send the output of these items from now on, once the main thread has said where it is."""
        with self._changed:
            new = [item for item in items if item not in self._wanted]
            self._wanted.update({item: _Sent() for item in new})
        if new:
            self._events.put(OutputWanted(tuple(new)))

    def supply(self, item_id: str, source: OutputSource | None) -> None:
        """Say where the output of a wanted item is now; ``None``: this agent knows no such job."""
        with self._changed:
            before = self._wanted.get(item_id)
            if before is None or source is None or before.source == source:
                return
            sent = self._wanted[item_id] = _Sent(source)
            if before.source is not None and before.source.attempt == source.attempt:
                sent.position = before.position
            self._changed.notify_all()

    def send_end(self, item_id: str, source: OutputSource) -> None:
        """Send the end of the output of a job that is over."""
        with self._changed:
            if item_id not in self._wanted:
                self._ended.append((item_id, source))
                self._changed.notify_all()
                return
        self.supply(item_id, source)

    def end(self) -> None:
        """Send nothing more."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()

    def finish(self, seconds: float) -> None:
        """Send the ends of jobs that are over, for so long at most, and end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._ended, seconds)
        self.end()

    def run(self) -> None:
        """Send until told to end."""
        with contextlib.suppress(Stopped):
            while True:
                self._wait()
                self._send_ended()
                self._send_wanted()

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped.is_set() or self._ended or self._wanted)
            if self._stopped.is_set():
                raise Stopped
            if not self._ended:
                self._changed.wait(READ_SECONDS)

    def _send_ended(self) -> None:
        with self._changed:
            if not self._ended:
                return
            item_id, source = self._ended[0]
        self._send_rest(item_id, _Sent(source), source)
        with self._changed:
            with contextlib.suppress(ValueError):
                self._ended.remove((item_id, source))
            self._changed.notify_all()

    def _send_wanted(self) -> None:
        with self._changed:
            wanted = list(self._wanted.items())
        for item_id, sent in wanted:
            if not self._serve(item_id, sent):
                self._forget(item_id, sent)

    def _forget(self, item_id: str, sent: _Sent) -> None:
        with self._changed:
            if self._wanted.get(item_id) is sent:
                del self._wanted[item_id]

    def _serve(self, item_id: str, sent: _Sent) -> bool:
        """Send what is new of an item. Returns whether the server is to think that it is served."""
        source, now = sent.source, time.monotonic()
        if source is None or sent.rests_until is not None:
            return now < (sent.rests_until or now)
        if source.is_over:
            self._send_rest(item_id, sent, source)
            sent.rests_until = now + REST_SECONDS
            return True
        part = _next_part(sent, source)
        if part.content or now - sent.told_at > SILENT_SECONDS:
            self._send(item_id, sent, source, part)
        return sent.wanted_seconds > 0 or sent.rests_until is not None

    def _send_rest(self, item_id: str, sent: _Sent, source: OutputSource) -> None:
        """Send an output that has ended to its end."""
        while sent.wanted_seconds >= 0:
            part = _next_part(sent, source)
            self._send(item_id, sent, source, part)
            if part.is_at_end:
                return

    def _send(self, item_id: str, sent: _Sent, source: OutputSource, part: Part) -> None:
        piece = OutputPiece(
            attempt=source.attempt,
            start=part.position,
            content=part.content,
            size=part.size,
            is_last=source.is_over and part.is_at_end,
        )
        ask = partial(self._protocol.send_output, item_id, self._agent_id, self._incarnation, piece)
        try:
            sent.wanted_seconds = self._caller.retry_forever(ask)
        except Refused:
            # The item is another agent's, or gone; or this agent is another process: the heartbeat finds that out.
            sent.wanted_seconds = REFUSED
            sent.rests_until = time.monotonic() + REST_SECONDS
        sent.position = part.position + len(part.content)
        sent.told_at = time.monotonic()


def _next_part(sent: _Sent, source: OutputSource) -> Part:
    return OutputTail(source.directory).read(sent.position, PIECE_BYTES, MOST_BEHIND)
