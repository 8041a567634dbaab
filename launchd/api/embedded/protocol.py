"""Messages between a program and its agent's process, in both directions: one JSON object per line.

The program writes to the process's standard input and reads its standard output. The API key is sent this way, so that
it is in no command line and no environment.
"""

from typing import Any

import msgspec

from launchd.client.queue_server import Report


class StartAgent(msgspec.Struct, frozen=True, tag=True):
    """The first message: the configuration of the agent, `config`, with the keys of `launch-config.yaml`.

    `program_pid` is the program's process id: the agent ends with that process. `own_queue`: the agent serves the
    program's items and no queue of the server, and its jobs are stopped when the program ends.
    """

    config: dict[str, Any]
    base_url: str
    api_key: str
    program_pid: int
    own_queue: bool


class RunItem(msgspec.Struct, frozen=True, tag=True):
    """Run this item."""

    item_id: str
    queue: str
    run_spec: dict[str, Any]


class StopItem(msgspec.Struct, frozen=True, tag=True):
    """Stop the job of this item."""

    item_id: str
    reason: str


class StartClaiming(msgspec.Struct, frozen=True, tag=True):
    """Take jobs off the queues from now on."""


class Shutdown(msgspec.Struct, frozen=True, tag=True):
    """End once all jobs have ended (`own_queue`), or at once, while they run on."""


class ReportSent(msgspec.Struct, frozen=True, tag=True):
    """A report on a job of the program's own queue."""

    report: Report


class StartRefused(msgspec.Struct, frozen=True, tag=True):
    """The agent cannot start, for the reason in `message`; the process ends."""

    message: str


ToAgent = RunItem | StopItem | StartClaiming | Shutdown
FromAgent = ReportSent | StartRefused

_begin: msgspec.json.Decoder[StartAgent] = msgspec.json.Decoder(StartAgent)
_to_agent: msgspec.json.Decoder[ToAgent] = msgspec.json.Decoder(ToAgent)
_from_agent: msgspec.json.Decoder[FromAgent] = msgspec.json.Decoder(FromAgent)


def encode_line(message: StartAgent | ToAgent | FromAgent) -> bytes:
    """Return ``message`` as one line of JSON."""
    return msgspec.json.encode(message) + b"\n"


def decode_start(line: bytes) -> StartAgent:
    """Decode the first message; raises `msgspec.DecodeError`."""
    return _begin.decode(line)


def decode_to_agent(line: bytes) -> ToAgent:
    """Decode a message of the program; raises `msgspec.DecodeError`."""
    return _to_agent.decode(line)


def decode_from_agent(line: bytes) -> FromAgent:
    """Decode a message of the agent's process; raises `msgspec.DecodeError`."""
    return _from_agent.decode(line)
