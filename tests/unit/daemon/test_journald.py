"""Log records as systemd's journal takes them, over a real datagram socket in the journal's place."""

import array
import io
import logging
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.log_lines import TextFormatter
from launchd.daemon import journald
from launchd.daemon import logging as logs
from launchd.daemon.journald import JournalHandler, field_name, is_journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "journal"))
    listener.settimeout(5)
    yield listener
    listener.close()


class Stage:
    """A logger at a journal, and what was handled instead."""

    def __init__(self, address: str) -> None:
        self.instead = io.StringIO()
        lines = logging.StreamHandler(self.instead)
        lines.setFormatter(TextFormatter())
        self.handler = JournalHandler(lines, address)
        self.log = logging.getLogger(f"launchd.tests.journald.{id(self)}")
        self.log.propagate = False
        self.log.setLevel(logging.DEBUG)
        self.log.addHandler(self.handler)


@pytest.fixture
def stage(journal: socket.socket) -> Iterator[Stage]:
    stage = Stage(journal.getsockname())
    yield stage
    stage.handler.close()


def entry(journal: socket.socket) -> dict[str, str]:
    """The next entry, read as systemd describes the protocol."""
    data, ancillary, _, _ = journal.recvmsg(1 << 20, socket.CMSG_SPACE(4))
    for _, _, rights in ancillary:
        (descriptor,) = array.array("i", rights)
        with os.fdopen(descriptor, "rb") as file:
            file.seek(0)
            data = file.read()
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, is_short, value = line.partition(b"=")
        if not is_short:
            (size,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        fields[name.decode()] = value.decode()
    return fields


def test_the_values_of_a_record_are_fields(journal: socket.socket, stage: Stage) -> None:
    fields = {"job": "launchd-1", "item": "SXRlbQ==", "queue": "my queue", "run": "r1", "exit_code": 7, "why": None}

    stage.log.info("A job is over.", extra=fields)

    seen = entry(journal)
    assert seen["MESSAGE"] == (
        'A job is over. job=launchd-1 item="SXRlbQ==" queue="my queue" run=r1 exit_code=7 why=null'
    )
    assert [seen[name] for name in ("JOB", "ITEM", "QUEUE", "RUN", "EXIT_CODE")] == [
        *("launchd-1", "SXRlbQ==", "my queue", "r1", "7")
    ]
    assert "WHY" not in seen
    assert seen["CODE_FUNC"] == "test_the_values_of_a_record_are_fields"
    assert (seen["CODE_FILE"], seen["SYSLOG_IDENTIFIER"]) == (__file__, "launchd")
    assert int(seen["CODE_LINE"]) > 0


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, "7"), (logging.INFO, "6"), (logging.WARNING, "4"), (logging.ERROR, "3"), (45, "3"), (50, "2")],
)
def test_a_level_has_its_priority(journal: socket.socket, stage: Stage, level: int, priority: str) -> None:
    stage.log.log(level, "Something.")

    assert entry(journal)["PRIORITY"] == priority


def test_a_value_takes_no_field_of_the_journal_itself(journal: socket.socket, stage: Stage) -> None:
    stage.log.info("Something.", extra={"priority": "high", "_uid": 0, "code_file": "mine", "9 lives": 1})

    seen = entry(journal)
    assert (seen["PRIORITY"], seen["PRIORITY_"], seen["CODE_FILE_"]) == ("6", "high", "mine")
    assert (seen["UID"], seen["LIVES"]) == ("0", "1")
    assert "_UID" not in seen


def test_names_are_those_that_the_journal_accepts() -> None:
    assert [field_name(name) for name in ("job", "exit-code", "__x", "ü", "a" * 99)] == [
        *("JOB", "EXIT_CODE", "X", "", "A" * 63)
    ]


def test_a_value_cannot_become_fields(journal: socket.socket, stage: Stage) -> None:
    stage.log.info("Something.", extra={"why": "one\nPRIORITY=0\n", "odd": "\ud800"})

    seen = entry(journal)
    assert (seen["WHY"], seen["PRIORITY"], seen["ODD"]) == ("one\nPRIORITY=0\n", "6", "\\ud800")
    assert "\n" not in seen["MESSAGE"]


def test_a_traceback_is_in_the_message(journal: socket.socket, stage: Stage) -> None:
    try:
        raise ValueError("no good")
    except ValueError:
        stage.log.exception("It failed.")

    lines = entry(journal)["MESSAGE"].split("\n")
    assert (lines[0], lines[-1]) == ("It failed.", "ValueError: no good")


def test_what_no_datagram_holds_comes_as_a_sealed_file(journal: socket.socket, stage: Stage) -> None:
    stage.log.info("Something.", extra={"why": "x" * 1_000_000})

    assert len(entry(journal)["WHY"]) == 1_000_000


def test_a_record_is_a_line_where_the_journal_is_away_and_an_entry_once_it_is_back(
    journal: socket.socket, stage: Stage
) -> None:
    address = journal.getsockname()
    Path(address).unlink()
    stage.log.info("Nobody listens.", extra={"job": "launchd-1"})
    assert stage.instead.getvalue().endswith(": Nobody listens. job=launchd-1\n")

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as restarted:
        restarted.bind(address)
        restarted.settimeout(5)
        stage.log.info("It listens again.")
        assert entry(restarted)["MESSAGE"] == "It listens again."


def test_a_journal_that_takes_nothing_does_not_hold_the_agent_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journald, "SEND_SECONDS", 0.05)
    hasty = Stage(stage.handler._address)
    try:
        for number in range(2000):
            hasty.log.info("Something.", extra={"number": number})
            if hasty.instead.getvalue():
                break
    finally:
        hasty.handler.close()

    assert ": Something. number=" in hasty.instead.getvalue()


def test_standard_error_is_the_journal_where_systemd_says_so(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        status = os.fstat(stream.fileno())
        named = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(stream, named)
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": "nonsense"})
        assert not is_journal(stream, {})
        assert not is_journal(io.StringIO(), named)


@pytest.mark.parametrize(
    ("form", "log_file", "is_native"),
    [("text", None, True), ("json", None, False), ("text", "-", False)],
)
def test_text_to_the_journal_alone_is_sent_with_fields(
    form: str, log_file: str | None, is_native: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = logging.getLogger()
    before, level, own = root.handlers[:], root.level, logging.getLogger("launchd").level
    root.handlers[:] = []
    try:
        with (tmp_path / "stderr").open("w") as stream:
            status = os.fstat(stream.fileno())
            monkeypatch.setattr(sys, "stderr", stream)
            monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
            logs.set_up(form, log_file=log_file)  # type: ignore[arg-type] # a parameter
            (handler,) = root.handlers
            assert (type(handler) is JournalHandler) is is_native
            handler.close()
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        logging.getLogger("launchd").setLevel(own)
