"""Log records as lines of text and as JSON."""

import json
import logging
import sys
from pathlib import Path

import pytest

from ipc.log_lines import TextFormatter
from launchd.daemon import logging as logs

log = logging.getLogger("launchd.tests")


def record(**fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "launchd.agent.job_controller", "levelno": 20, "levelname": "INFO", "msg": "A job is over."}
    )
    vars(made).update(fields)
    return made


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("d63e", "d63e"),
        (3, "3"),
        (None, "null"),
        ("two words", '"two words"'),
        ('a="b"', '"a=\\"b\\""'),
        ("two\nlines", '"two\\nlines"'),
        ("", '""'),
        (["a", "b"], '["a", "b"]'),
        (Path("/tmp"), '"/tmp"'),
    ],
)
def test_a_field_cannot_be_misread(value: object, shown: str) -> None:
    assert (
        TextFormatter()
        .format(record(item=value))
        .endswith(f" INFO launchd.agent.job_controller: A job is over. item={shown}")
    )


def test_json_has_the_fields_beside_the_sentence() -> None:
    entry = json.loads(logs.JsonFormatter().format(record(item="d63e", level="a field", where=Path("/x"))))

    assert entry["message"] == "A job is over."
    assert (entry["item"], entry["level"], entry["level_"], entry["where"]) == ("d63e", "INFO", "a field", "/x")


def test_a_traceback_is_kept() -> None:
    try:
        raise ValueError("no good")
    except ValueError:
        failed = record(exc_info=sys.exc_info())

    assert TextFormatter().format(failed).endswith("ValueError: no good")
    assert "no good" in json.loads(logs.JsonFormatter().format(failed))["exception"]


def test_verbosity_shows_debug_records_of_launchd_first_and_of_libraries_then(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for verbosity in (0, 1, 2):
        logs.set_up("text", verbosity, str(path))
        log.info("What happened.", extra={"verbosity": verbosity})
        log.debug("A detail.", extra={"verbosity": verbosity})
        logging.getLogger("library").debug("Of a library.", extra={"verbosity": verbosity})

    expected = [line.split(": ", 1)[1] for line in path.read_text().splitlines()]
    assert expected == [
        "What happened. verbosity=0",
        "What happened. verbosity=1",
        "A detail. verbosity=1",
        "What happened. verbosity=2",
        "A detail. verbosity=2",
        "Of a library. verbosity=2",
    ]


def test_a_log_file_that_is_moved_away_is_created_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    logs.set_up("json", 0, str(path))
    log.info("Before.")
    path.rename(tmp_path / "log.1")
    log.info("After.")

    assert json.loads(path.read_text())["message"] == "After."


@pytest.mark.parametrize(("name", "expected"), [(None, ("", "Hello.")), ("-", ("Hello.", ""))])
def test_standard_error_and_output(
    name: str | None, expected: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up("text", 0, name)
    log.info("Hello.")

    captured = capsys.readouterr()
    assert [text[-7:-1] for text in (captured.out, captured.err)] == list(expected)
