"""The messages between supervisor and worker, as JSON of a tagged union.

No pickle and no exception object that a worker made ever reaches the
supervisor. A message fits into ``PIPE_BUF`` together with its length prefix, so
that a writer killed at any instant leaves a whole message or none; what is
longer is a file in the job's directory which the message names.
"""

import select

import msgspec

from ipc.errors import ErrorReport
from ipc.handles import ExitResult, Handle
from ipc.states import JobState

#: multiprocessing puts four bytes of length before each message.
MAX_MESSAGE_BYTES = select.PIPE_BUF - 4


class Start(msgspec.Struct, frozen=True, tag="start"):
    """Run the job whose work order lies in ``directory``.

    ``name`` is the workload name. ``api_key`` goes by pipe alone, never to a file or command line.
    """

    directory: str
    name: str
    api_key: str


class Adopt(msgspec.Struct, frozen=True, tag="adopt"):
    """Take over a job that may exist outside: by ``handle``, or by ``name`` where no handle is known."""

    directory: str
    name: str
    api_key: str
    handle: Handle | None


class SubmitApproved(msgspec.Struct, frozen=True, tag="submit_approved"):
    """The workload name is on disk and the item is this agent's: create the workload."""

    name: str


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Stop the job: politely, and after ``grace_seconds`` by force."""

    reason: str
    grace_seconds: float


class Detach(msgspec.Struct, frozen=True, tag="detach"):
    """Leave; the workload runs on and will be adopted."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The worker is up and waits for its job."""

    pid: int


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """The worker is alive."""


class PhaseChanged(msgspec.Struct, frozen=True, tag="phase"):
    """The job entered ``state``; ``message`` says what is being done."""

    state: JobState
    message: str | None = None


class Submitting(msgspec.Struct, frozen=True, tag="submitting"):
    """The worker is about to create ``name`` outside and waits for ``SubmitApproved``."""

    name: str


class Submitted(msgspec.Struct, frozen=True, tag="submitted"):
    """The workload exists."""

    handle: Handle


class WarningRaised(msgspec.Struct, frozen=True, tag="warning"):
    """Something the person who launched the job should know, though the job goes on."""

    message: str
    stage: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The workload ended in ``state``, one of the terminal states."""

    state: JobState
    result: ExitResult


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The job could not be run."""

    report: ErrorReport


Command = Start | Adopt | SubmitApproved | Stop | Detach
Event = Hello | Heartbeat | PhaseChanged | Submitting | Submitted | WarningRaised | Finished | Failed

_encoder = msgspec.json.Encoder()
_command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class MessageTooLong(Exception):
    """A message does not fit into one atomic write; a programming error."""


class MalformedMessage(Exception):
    """The bytes received are no message of this protocol."""


def encode(message: Command | Event) -> bytes:
    """Return ``message`` as JSON.

    Raises:
        MessageTooLong: if it takes more than :data:`MAX_MESSAGE_BYTES`.
    """
    data = _encoder.encode(message)
    if len(data) > MAX_MESSAGE_BYTES:
        raise MessageTooLong(f"{type(message).__name__} takes {len(data)} bytes, more than {MAX_MESSAGE_BYTES}")
    return data


def decode_command(data: bytes) -> Command:
    """Return the command in ``data``; raises :class:`MalformedMessage`."""
    try:
        return _command_decoder.decode(data)
    except msgspec.DecodeError as error:
        raise MalformedMessage(str(error)) from error


def decode_event(data: bytes) -> Event:
    """Return the event in ``data``; raises :class:`MalformedMessage`."""
    try:
        return _event_decoder.decode(data)
    except msgspec.DecodeError as error:
        raise MalformedMessage(str(error)) from error


def shorten(text: str, limit: int = 1200) -> str:
    """Return ``text`` cut so that it takes at most ``limit`` bytes as JSON; two such texts fit into one message."""
    size = len(_encoder.encode(text))
    if size <= limit:
        return text
    # Escapes take up to six bytes a character, so the cut is by proportion.
    return shorten(text[: max(1, len(text) * (limit - 8) // size)], limit - 3) + "…"


def fitting(report: ErrorReport) -> ErrorReport:
    """Return ``report`` with its sentences cut to what fits into a message."""
    hint = report.hint and shorten(report.hint)
    return msgspec.structs.replace(report, message=shorten(report.message), hint=hint)
