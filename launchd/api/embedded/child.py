"""`python -m launchd.api.embedded.child`: an agent for the program that started it, the same supervisor as every other.

Owns what is special about it: where its orders come from, and that it ends with its caller. Jobs of the caller's own
queue are then stopped; those of a server's queues run on, and the next agent over the same state takes them back.
"""

import os
import select
import signal
import sys
import threading

from launchd.agent.supervisor import CannotStart, run
from launchd.api.embedded.protocol import (
    FromAgent,
    Leave,
    Refused,
    ReportSent,
    StartAgent,
    StartClaiming,
    StopItem,
    TakeItem,
    beginning,
    line_of,
    to_agent,
)
from launchd.api.embedded.server_adapters import ItemHandover, ProgramQueue, StandbyServer
from launchd.client.queue_server import ClaimedItem, QueueServer, Report
from launchd.config import ConfigError, from_values
from launchd.daemon import logging as logs

#: Exit code of an agent that could not start; the reason was told.
REFUSED = 1

CALLER_GONE = "the program that launched it has ended"

_CHUNK_BYTES = 1 << 16


class Channel:
    """The way to the caller and from it, out of the reach of every process that we start."""

    def __init__(self) -> None:
        self._in = os.dup(sys.stdin.fileno())
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - for its descriptor
            os.dup2(nothing.fileno(), sys.stdin.fileno())
        self._writing = threading.Lock()
        self._read = b""

    def tell(self, message: FromAgent) -> None:
        """Send ``message``; where nobody listens any more, the end of the caller is noticed elsewhere."""
        with self._writing:
            try:
                self._out.write(line_of(message))
                self._out.flush()
            except BrokenPipeError:
                return

    def next_line(self, caller: int | None = None) -> bytes:
        """Return the caller's next line, ``b""`` once it or the process of the descriptor ``caller`` is gone."""
        while b"\n" not in self._read:
            waiting = [self._in] if caller is None else [self._in, caller]
            ready, _, _ = select.select(waiting, [], [])
            piece = os.read(self._in, _CHUNK_BYTES) if self._in in ready else b""
            if not piece:
                return b""
            self._read += piece
        line, _, self._read = self._read.partition(b"\n")
        return line


class AgentHost:
    """Does for the agent's process what its caller says."""

    def __init__(self, begin: StartAgent, channel: Channel) -> None:
        self._begin = begin
        self._channel = channel
        self._handover = ItemHandover()
        self._items: dict[str, None] = {}

    def connect(self) -> QueueServer:
        """Make the agent's queue server, and begin to listen."""
        threading.Thread(target=self._listen, name="caller", daemon=True).start()
        address, key = self._begin.base_url, self._begin.api_key
        if self._begin.own_queue:
            return ProgramQueue(address, key, self._handover, self._told)
        return StandbyServer(address, key, self._handover)

    def _listen(self) -> None:
        try:
            caller = os.pidfd_open(self._begin.caller)
        except ProcessLookupError:
            self._leave(CALLER_GONE)
            return
        while line := self._channel.next_line(caller):
            match to_agent(line):
                case TakeItem(item_id, queue, run_spec):
                    self._items[item_id] = None
                    self._handover.offer(ClaimedItem(item_id, queue, run_spec))
                case StopItem(item_id, reason):
                    self._handover.stop(item_id, reason)
                case StartClaiming():
                    self._handover.start_claiming()
                case Leave():
                    self._leave(None)
        self._leave(CALLER_GONE)

    def _leave(self, stop_reason: str | None) -> None:
        if not self._begin.own_queue:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        if stop_reason is not None:
            for item_id in list(self._items):
                self._handover.stop(item_id, stop_reason)
        self._handover.end()

    def _told(self, report: Report) -> None:
        self._channel.tell(ReportSent(report))


def main() -> int:
    """Be the agent that the first line on standard input describes; returns the exit code."""
    channel = Channel()
    begin = beginning(channel.next_line())
    try:
        loaded = from_values(begin.config, os.environ)
        logs.set_up(loaded.config.launchd.log_format, loaded.config.verbosity)
        return run(loaded, AgentHost(begin, channel).connect, begin.api_key, lambda: loaded)
    except (ConfigError, CannotStart) as error:
        channel.tell(Refused(str(error)))
        return REFUSED


if __name__ == "__main__":
    sys.exit(main())
