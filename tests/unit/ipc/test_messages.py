"""Messages survive the way through bytes, fit into one atomic write, and nothing else is taken for one."""

import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.errors import ErrorReport
from ipc.handles import MAX_HANDLE_BYTES, ExitResult, Handle
from ipc.messages import (
    MAX_API_KEY_BYTES,
    MAX_DIRECTORY_BYTES,
    MAX_MESSAGE_BYTES,
    Adopt,
    CannotEncode,
    Command,
    Detach,
    Event,
    Failed,
    Finished,
    Heartbeat,
    Hello,
    MalformedMessage,
    PhaseChanged,
    Start,
    Stop,
    SubmitApproved,
    Submitted,
    Submitting,
    WarningRaised,
    decode_command,
    decode_event,
    encode,
    shorten,
)
from ipc.states import TERMINAL_STATES, JobState

HANDLE = Handle("local-process", "launchd-0123-1", 1, {"pid": 7, "started": "x"})

COMMANDS: list[Command] = [
    Start("/jobs/a", "launchd-0123-1", "key"),
    Adopt("/jobs/a", "launchd-0123-1", "key", HANDLE),
    Adopt("/jobs/a", "launchd-0123-1", "key", None),
    Adopt("/jobs/a", "launchd-0123-1", "", HANDLE, rescue=True),
    SubmitApproved("launchd-0123-1"),
    Stop("because", 1.5),
    Detach(),
]
EVENTS: list[Event] = [
    Hello(7),
    Heartbeat(),
    PhaseChanged(JobState.BUILDING, "pip"),
    Submitting("launchd-0123-1"),
    Submitted(HANDLE),
    WarningRaised("slow", "run"),
    Finished(JobState.FAILED, ExitResult(signal=9)),
    Failed(ErrorReport("build", "BuildError", "no", "do")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: type(one).__name__)
def test_a_command_comes_back_as_it_was(command: Command) -> None:
    assert decode_command(encode(command)) == command


@pytest.mark.parametrize("event", EVENTS, ids=lambda one: type(one).__name__)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    assert decode_event(encode(event)) == event


@pytest.mark.parametrize("text", ["x", "\0", "é", "\U0001f600", "\udce9", 'a"b'])
def test_long_texts_are_cut_where_a_message_is_made(text: str) -> None:
    long = text * 5000
    messages: list[Command | Event] = [
        Stop(long, 1.0),
        PhaseChanged(JobState.RUNNING, long),
        WarningRaised(long, long),
        Finished(JobState.FAILED, ExitResult(message=long)),
        Failed(ErrorReport(long, long, long, long)),
    ]
    for message in messages:
        assert len(encode(message)) <= MAX_MESSAGE_BYTES
    assert Stop(long, 1.0).reason.endswith("…")
    assert decode_command(encode(Stop(long, 1.0))) == Stop(long, 1.0)


def test_a_text_that_is_none_is_made_one() -> None:
    assert Stop("d\udce9faut", 1.0).reason == "d\ufffdfaut"


def test_what_cannot_be_cut_fits_into_one_message() -> None:
    name = "launchd-0123456789abcdef-10000"
    room = MAX_HANDLE_BYTES - len(msgspec.json.encode(Handle("local-process", name, 1, {"data": ""})))
    handle = Handle("local-process", name, 1, {"data": "x" * room})
    adopt = Adopt("/" * (MAX_DIRECTORY_BYTES - 2), name, "k" * MAX_API_KEY_BYTES, handle)
    assert decode_command(encode(adopt)) == adopt


def test_a_handle_that_is_too_long_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="longer than"):
        Handle("local-process", "launchd-0123-1", 1, {"command": "x" * MAX_HANDLE_BYTES})


@pytest.mark.parametrize("key", ["k" * MAX_MESSAGE_BYTES, "\udce9"])
def test_a_message_that_cannot_be_sent_is_refused(key: str) -> None:
    with pytest.raises(CannotEncode):
        encode(Start("/jobs/a", "launchd-0123-1", key))


@pytest.mark.parametrize("state", [state for state in JobState if state not in TERMINAL_STATES])
def test_a_job_that_has_not_ended_is_not_finished(state: JobState) -> None:
    with pytest.raises(MalformedMessage, match="has not finished"):
        decode_event(encode(Finished(state, ExitResult())))


@pytest.mark.parametrize("data", [b"", b"{}", b'{"type":"hullo"}', b'{"type":"hello","pid":"x"}', b"\xff\xfe", b"[]"])
def test_other_bytes_are_no_event(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_event(data)


def test_a_pickle_is_no_event_and_is_not_loaded() -> None:
    with pytest.raises(MalformedMessage):
        decode_event(pickle.dumps(ValueError("loading me would import my module")))


@given(st.text(), st.text(), st.one_of(st.none(), st.text()))
def test_any_report_fits(stage_text: str, message: str, hint: str | None) -> None:
    report = ErrorReport("agent", "BuildError", (stage_text + message) * 50, hint and hint * 50)
    assert len(encode(Failed(report))) <= MAX_MESSAGE_BYTES


def test_a_short_text_is_left_alone() -> None:
    assert shorten("naïve") == "naïve"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_shortened_text_begins_as_the_long_one(text: str) -> None:
    long = text * 200
    assert long.startswith(shorten(long, 100).removesuffix("…").rstrip("…"))
