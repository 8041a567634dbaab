"""`python -m launchd.api.embedded.child`: the agent's process of a program, with the supervisor of `launchd agent`.

Owns the messages from the program, and the end of the agent when the program ends. Jobs of the program's own queue are
then stopped; those of a server's queues run on, and the next agent over the same state directory adopts them.
"""

import logging
import os
import select
import signal
import sys
import threading

import ipc.lean_imports  # noqa: F401 - before requests
from launchd.agent.errors import CannotStart
from launchd.agent.main import run
from launchd.api.embedded.protocol import (
    FromAgent,
    ReportSent,
    RunItem,
    Shutdown,
    StartAgent,
    StartClaiming,
    StartRefused,
    StopItem,
    decode_start,
    decode_to_agent,
    encode_line,
)
from launchd.api.embedded.server_adapters import ProgramQueue, ProgramRequests, StandbyServer
from launchd.client.queue_server import ClaimedItem, QueueServer, Report
from launchd.config import AgentConfig, ConfigError, check_job_users, from_values
from launchd.daemon import logging as logs

#: Exit code of an agent that could not start; the reason was sent to the program.
EXIT_REFUSED = 1

PROGRAM_ENDED = "the program that launched it has ended"

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 16


class Channel:
    """The pipes from and to the program, moved off standard input and output, which child processes inherit."""

    def __init__(self) -> None:
        self._in = os.dup(sys.stdin.fileno())
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - for its descriptor
            os.dup2(nothing.fileno(), sys.stdin.fileno())
        self._write_lock = threading.Lock()
        self._buffer = b""

    def send(self, message: FromAgent) -> None:
        """Send ``message``. A closed pipe is ignored: :meth:`next_line` detects the end of the program."""
        with self._write_lock:
            try:
                self._out.write(encode_line(message))
                self._out.flush()
            except BrokenPipeError:
                return

    def next_line(self, pidfd: int | None = None) -> bytes:
        """Return the next line, ``b""`` once the pipe is closed or the process of ``pidfd`` has ended."""
        while b"\n" not in self._buffer:
            descriptors = [self._in] if pidfd is None else [self._in, pidfd]
            ready, _, _ = select.select(descriptors, [], [])
            chunk = os.read(self._in, _CHUNK_BYTES) if self._in in ready else b""
            if not chunk:
                return b""
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


class AgentHost:
    """Carries out the program's messages in the agent's process."""

    def __init__(self, start_message: StartAgent, channel: Channel) -> None:
        self._start = start_message
        self._channel = channel
        self._requests = ProgramRequests()

    def connect(self) -> QueueServer:
        """Return the agent's queue server, and start the thread that reads the program's messages."""
        threading.Thread(target=self._listen, name="program", daemon=True).start()
        address, key = self._start.base_url, self._start.api_key
        if self._start.own_queue:
            return ProgramQueue(address, key, self._requests, self._send_report)
        return StandbyServer(address, key, self._requests)

    def _listen(self) -> None:
        try:
            pidfd = os.pidfd_open(self._start.program_pid)
        except ProcessLookupError:
            self._shut_down(PROGRAM_ENDED)
            return
        while line := self._channel.next_line(pidfd):
            match decode_to_agent(line):
                case RunItem(item_id, queue, run_spec):
                    self._requests.add(ClaimedItem(item_id, queue, run_spec))
                case StopItem(item_id, reason):
                    self._requests.stop(item_id, reason)
                case StartClaiming():
                    self._requests.start_claiming()
                case Shutdown():
                    self._shut_down(None)
        self._shut_down(PROGRAM_ENDED)

    def _shut_down(self, stop_reason: str | None) -> None:
        if not self._start.own_queue:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        if stop_reason is not None:
            self._requests.stop_all(stop_reason)
        self._requests.shut_down()

    def _send_report(self, report: Report) -> None:
        self._channel.send(ReportSent(report))


def _warn_of_root(config: AgentConfig) -> None:
    """Log what ``launchd agent`` refuses: a program's jobs have the rights of its user anyway."""
    try:
        warnings = check_job_users(config, os.geteuid())
    except ConfigError as error:
        warnings = (str(error),)
    for warning in warnings:
        log.warning("The configuration has a questionable setting.", extra={"warning": warning})


def main() -> int:
    """Run the agent that the first line on standard input describes; returns the exit code."""
    # Where a service manager started the program, it speaks to that alone: for the agent, the program decides.
    os.environ.pop("NOTIFY_SOCKET", None)
    channel = Channel()
    start_message = decode_start(channel.next_line())
    try:
        loaded = from_values(start_message.config, os.environ)
        logs.set_up(loaded.config.launchd.log_format, loaded.config.verbosity)
        _warn_of_root(loaded.config)
        return run(loaded, AgentHost(start_message, channel).connect, start_message.api_key, lambda: loaded)
    except (ConfigError, CannotStart) as error:
        channel.send(StartRefused(str(error)))
        return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
