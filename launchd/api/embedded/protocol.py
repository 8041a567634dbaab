"""What a program and the agent's process that it started say to each other: one JSON object per line, each way.

Owns the messages. The program writes to the process's standard input and reads its standard output; the API key goes
this way, so that it stands in no command line and no environment.
"""

from typing import Any

import msgspec

from launchd.client.queue_server import Report


class StartAgent(msgspec.Struct, frozen=True, tag=True):
    """The first message: what the agent is to be. `config` is a launch-config document.

    `caller` is the program's process id: where that is gone, so is whoever wanted the agent. `own_queue`: the agent
    serves the caller's items and no queue of the server; its jobs end with the caller.
    """

    config: dict[str, Any]
    base_url: str
    api_key: str
    caller: int
    own_queue: bool


class TakeItem(msgspec.Struct, frozen=True, tag=True):
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


class Leave(msgspec.Struct, frozen=True, tag=True):
    """Leave: once all jobs are over (the caller's own queue), or at once, while they run on."""


class ReportSent(msgspec.Struct, frozen=True, tag=True):
    """How a job of the caller's own queue stands."""

    report: Report


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The agent cannot start; the process ends. The message says why."""

    message: str


ToAgent = TakeItem | StopItem | StartClaiming | Leave
FromAgent = ReportSent | Refused

_begin: msgspec.json.Decoder[StartAgent] = msgspec.json.Decoder(StartAgent)
_to_agent: msgspec.json.Decoder[ToAgent] = msgspec.json.Decoder(ToAgent)
_from_agent: msgspec.json.Decoder[FromAgent] = msgspec.json.Decoder(FromAgent)


def line_of(message: StartAgent | ToAgent | FromAgent) -> bytes:
    """Return ``message`` as it is sent."""
    return msgspec.json.encode(message) + b"\n"


def beginning(line: bytes) -> StartAgent:
    """Return what the agent is to be, which ``line`` says; raises `msgspec.DecodeError`."""
    return _begin.decode(line)


def to_agent(line: bytes) -> ToAgent:
    """Return what the program said in ``line``; raises `msgspec.DecodeError`."""
    return _to_agent.decode(line)


def from_agent(line: bytes) -> FromAgent:
    """Return what the agent's process said in ``line``; raises `msgspec.DecodeError`."""
    return _from_agent.decode(line)
