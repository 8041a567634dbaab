"""The process that serves an agent's metrics: asks the supervisor on standard input, and answers Prometheus.

It gets a socket that listens already. Where the agent is root, it gives that up before the first request, and it leaves
when the supervisor does.
"""

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence

import msgspec
from setproctitle import setproctitle

from launchd.agent.control.client import ANSWER_SECONDS, CLIENT_SECONDS, read_line
from launchd.metrics.endpoint import Endpoint, NoFigures
from launchd.metrics.exposition import rendered
from launchd.metrics.model import Family

#: The user and group without rights, as the kernel has them.
NO_USER = 65534

#: The longest answer of the supervisor.
MAX_ANSWER_BYTES = 16 * 1024 * 1024


def main() -> None:
    """Serve until the supervisor has gone; the argument is the number of the listening socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setproctitle("launchd: metrics")
    listening, channel = socket.socket(fileno=int(sys.argv[1])), socket.socket(fileno=0)
    # What the library loads late is loaded while its files can be read for sure.
    rendered([])
    give_up_root()
    endpoint = Endpoint(listening, Supervisor(channel).figures)
    endpoint.start()
    wait_for_end(channel)
    endpoint.close()
    channel.close()


def give_up_root() -> None:
    """Become the user without rights, where the process is root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NO_USER, NO_USER, NO_USER)
        os.setresuid(NO_USER, NO_USER, NO_USER)


def wait_for_end(channel: socket.socket) -> None:
    """Return once the other side has gone."""
    poll = select.poll()
    poll.register(channel, select.POLLRDHUP)
    poll.poll()


class Supervisor:
    """The supervisor behind ``channel``; one question at a time."""

    def __init__(self, channel: socket.socket) -> None:
        channel.settimeout(ANSWER_SECONDS + CLIENT_SECONDS)
        self._channel = channel

    def figures(self) -> Sequence[Family]:
        """Return the figures of this moment; raises :class:`NoFigures`."""
        try:
            self._channel.sendall(b"metrics\n")
            answer = json.loads(read_line(self._channel, MAX_ANSWER_BYTES))
        except (OSError, ValueError) as error:
            # What comes later would be the answer to another question. The supervisor starts this process anew.
            self._channel.shutdown(socket.SHUT_RDWR)
            raise NoFigures(f"The agent does not answer: {error}.") from error
        return families(answer)


def families(answer: object) -> Sequence[Family]:
    """Return the figures in an agent's answer; raises :class:`NoFigures`."""
    match answer:
        case {"ok": True, "metrics": list(metrics)}:
            return msgspec.convert(metrics, list[Family])
        case {"error": str(error)}:
            raise NoFigures(error)
        case _:
            raise NoFigures("The agent gave no figures.")


if __name__ == "__main__":
    main()
