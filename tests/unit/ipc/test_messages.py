"""Messages survive the way through bytes, fit into one atomic write, and nothing else is taken for one."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.errors import ErrorReport
from ipc.handles import ExitResult, Handle
from ipc.messages import (
    MAX_MESSAGE_BYTES,
    Adopt,
    Command,
    Detach,
    Event,
    Failed,
    Finished,
    Heartbeat,
    Hello,
    MalformedMessage,
    MessageTooLong,
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
    fitting,
    shorten,
)
from ipc.states import JobState

HANDLE = Handle("local-process", "launchd-0123-1", 1, {"pid": 7, "started": "x"})

COMMANDS: list[Command] = [
    Start("/jobs/a", "launchd-0123-1", "key"),
    Adopt("/jobs/a", "launchd-0123-1", "key", HANDLE),
    Adopt("/jobs/a", "launchd-0123-1", "key", None),
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


def test_a_message_that_does_not_fit_into_one_write_is_refused() -> None:
    with pytest.raises(MessageTooLong):
        encode(WarningRaised("x" * MAX_MESSAGE_BYTES, "run"))


@pytest.mark.parametrize("data", [b"", b"{}", b'{"type":"hullo"}', b'{"type":"hello","pid":"x"}', b"\xff\xfe", b"[]"])
def test_other_bytes_are_no_event(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_event(data)


def test_a_pickle_is_no_event_and_is_not_loaded() -> None:
    with pytest.raises(MalformedMessage):
        decode_event(pickle.dumps(ValueError("loading me would import my module")))


@given(st.text(), st.text(), st.one_of(st.none(), st.text()))
def test_any_report_made_fitting_fits(stage_text: str, message: str, hint: str | None) -> None:
    report = ErrorReport("agent", "BuildError", (stage_text + message) * 50, hint and hint * 50)
    assert len(encode(Failed(fitting(report)))) <= MAX_MESSAGE_BYTES


def test_a_short_text_is_left_alone() -> None:
    assert shorten("naïve") == "naïve"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_shortened_text_begins_as_the_long_one(text: str) -> None:
    long = text * 200
    assert long.startswith(shorten(long, 100).removesuffix("…").rstrip("…"))
