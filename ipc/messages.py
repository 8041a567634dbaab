"""The messages between supervisor and worker, as JSON of a tagged union.

No pickle and no exception object that a worker made ever reaches the
supervisor. A message fits into ``PIPE_BUF`` together with its length prefix, so
that a writer killed at any instant leaves a whole message or none; what is
longer is a file in the job's directory which the message names.

A message is bounded where it is made: its texts are cut, with a ``…`` at the
cut, and made plain as it is constructed, so that none is too long to be sent.
What cannot be cut has a limit where it comes from: the agent's directories and
API keys where they are read, a handle where its runner makes it.
"""

import re
import select
from typing import Literal

import msgspec

from ipc.boot_clock import BootMoment
from ipc.errors import ErrorReport
from ipc.handles import MAX_HANDLE_BYTES, ExitResult, Handle
from ipc.states import TERMINAL_STATES, JobState

#: multiprocessing puts four bytes of length before each message.
MAX_MESSAGE_BYTES = select.PIPE_BUF - 4

#: The longest text in a message, in bytes of JSON; two such texts fit into one.
MAX_TEXT_BYTES = 1200

#: The longest API key that reaches a worker, in bytes.
MAX_API_KEY_BYTES = 1000

#: The longest path of a job's directory, in bytes of JSON. A key, a handle and a directory fit into one message.
MAX_DIRECTORY_BYTES = MAX_MESSAGE_BYTES - 250 - MAX_API_KEY_BYTES - MAX_HANDLE_BYTES

#: The longest word of the protocol's own, such as the stage or the kind of an error, in bytes of JSON.
_MAX_WORD_BYTES = 100

#: Half a character of UTF-16, which stands for a byte that is no text and cannot be encoded.
_SURROGATE = re.compile("[\ud800-\udfff]")


class Start(msgspec.Struct, frozen=True, tag="start"):
    """Run the job whose work order lies in ``directory``.

    ``name`` is the workload name. ``api_key`` goes by pipe alone, never to a file or command line.
    """

    directory: str
    name: str
    api_key: str


class Adopt(msgspec.Struct, frozen=True, tag="adopt"):
    """Take over a job that may exist outside: by ``handle``, or by ``name`` where no handle is known.

    With ``rescue`` the worker only watches the workload and stops it when told to: it follows no output and launches
    nothing, needs no API key and no work order, and says no more than the job's state. For a job whose workers died
    again and again of something in it.
    """

    directory: str
    name: str
    api_key: str
    handle: Handle | None
    rescue: bool = False


class SubmitApproved(msgspec.Struct, frozen=True, tag="submit_approved"):
    """The workload name is on disk and the item is this agent's: create the workload."""

    name: str


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Stop the job: politely, and after ``grace_seconds`` by force. A long ``reason`` is cut."""

    reason: str
    grace_seconds: float

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "reason", shorten(self.reason))


class Detach(msgspec.Struct, frozen=True, tag="detach"):
    """Leave; the workload runs on and will be adopted."""


class LookAgain(msgspec.Struct, frozen=True, tag="look_again"):
    """The workload has changed, or may have: look at it. Lost without harm, for a worker looks by itself as well."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The worker is up and waits for its job."""

    pid: int


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """The worker is alive."""


class PhaseChanged(msgspec.Struct, frozen=True, tag="phase"):
    """The job entered ``state``; ``message`` says what is being done, and is cut if it is long.

    ``started`` is when the workload was started, where ``state`` is *running* and this host knows that.
    """

    state: JobState
    message: str | None = None
    started: BootMoment | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "message", self.message and shorten(self.message))


class Submitting(msgspec.Struct, frozen=True, tag="submitting"):
    """The worker is about to create ``name`` outside and waits for ``SubmitApproved``."""

    name: str


class Submitted(msgspec.Struct, frozen=True, tag="submitted"):
    """The workload exists."""

    handle: Handle


class Watching(msgspec.Struct, frozen=True, tag="watching"):
    """The worker wants to hear of changes of its workload, which is in ``scope``; see ``ipc.watch_service``."""

    scope: str


class WarningRaised(msgspec.Struct, frozen=True, tag="warning"):
    """Something the person who launched the job should know, though the job goes on. A long ``message`` is cut."""

    message: str
    stage: str

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "message", shorten(self.message))
        msgspec.structs.force_setattr(self, "stage", shorten(self.stage, _MAX_WORD_BYTES))


class Built(msgspec.Struct, frozen=True, tag="built"):
    """What the job needs is there: built for it, or ``reused`` as an earlier job's."""

    kind: Literal["environment", "image"]
    reused: bool


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The workload ended in ``state``, one of the terminal states. A long message in ``result`` is cut."""

    state: JobState
    result: ExitResult

    def __post_init__(self) -> None:
        message = self.result.message and shorten(self.result.message)
        if message != self.result.message:
            msgspec.structs.force_setattr(self, "result", msgspec.structs.replace(self.result, message=message))


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The job could not be run. Long sentences in ``report`` are cut."""

    report: ErrorReport

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "report", fitting(self.report))


Command = Start | Adopt | SubmitApproved | Stop | Detach | LookAgain
Event = Hello | Heartbeat | PhaseChanged | Submitting | Submitted | Watching | WarningRaised | Built | Finished | Failed

_encoder = msgspec.json.Encoder()
_command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class CannotEncode(Exception):
    """A message cannot be sent: it does not fit into one atomic write, or a text in it is none."""


class MalformedMessage(Exception):
    """The bytes received are no message of this protocol."""


def encode(message: Command | Event) -> bytes:
    """Return ``message`` as JSON.

    Raises:
        CannotEncode: it takes more than :data:`MAX_MESSAGE_BYTES`, or a path or key in it is no text.
    """
    try:
        data = _encoder.encode(message)
    except UnicodeEncodeError as error:
        raise CannotEncode(f"{type(message).__name__} holds a text that is none: {error.reason}") from error
    if len(data) > MAX_MESSAGE_BYTES:
        raise CannotEncode(f"{type(message).__name__} takes {len(data)} bytes, more than {MAX_MESSAGE_BYTES}")
    return data


def decode_command(data: bytes) -> Command:
    """Return the command in ``data``; raises :class:`MalformedMessage`."""
    try:
        return _command_decoder.decode(data)
    except msgspec.DecodeError as error:
        raise MalformedMessage(str(error)) from error


def decode_event(data: bytes) -> Event:
    """Return the event in ``data``; raises :class:`MalformedMessage`, also for an end that is none."""
    try:
        event = _event_decoder.decode(data)
    except msgspec.DecodeError as error:
        raise MalformedMessage(str(error)) from error
    match event:
        case Finished(state) if state not in TERMINAL_STATES:
            raise MalformedMessage(f"a job that is {state} has not finished")
        case _:
            return event


def plain(text: str) -> str:
    """Return ``text`` with ``\ufffd`` for each byte that was no text where it comes from, so that it can be encoded."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def shorten(text: str, limit: int = MAX_TEXT_BYTES) -> str:
    """Return ``text``, made plain, and cut with a ``…`` at the cut where it takes more than ``limit`` bytes as JSON."""
    # Escapes take up to six bytes a character, and a character takes at least one.
    if len(text) * 6 + 2 <= limit:
        return plain(text)
    return _cut(plain(text[:limit]), limit, was_cut=len(text) > limit)


def _cut(text: str, limit: int, *, was_cut: bool) -> str:
    size = len(_encoder.encode(text)) + 3 * was_cut
    if size <= limit:
        return text + "…" * was_cut
    # By proportion: most texts are of one kind throughout.
    return _cut(text[: max(0, len(text) * (limit - 8) // size)], limit, was_cut=True)


def fitting(report: ErrorReport) -> ErrorReport:
    """Return ``report`` with its texts cut to what fits into a message."""
    return msgspec.structs.replace(
        report,
        stage=shorten(report.stage, _MAX_WORD_BYTES),
        kind=shorten(report.kind, _MAX_WORD_BYTES),
        message=shorten(report.message),
        hint=report.hint and shorten(report.hint),
    )
