"""The files of a job's output, and their writer that goes on where another one stopped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.errors import RunnerUnavailable
from ipc.handles import Handle
from ipc.settings import JobsConfig
from tests.support.fake_runner import FakeRunner
from workers import output_follower
from workers.context import JobContext
from workers.output import OutputWriter
from workers.output_follower import OutputFollower

HANDLE = Handle("fake", "launchd-0-1")
LIMITS = JobsConfig(output_max_bytes=10, output_files=2)


def test_a_later_writer_knows_how_much_was_written(tmp_path: Path) -> None:
    OutputWriter(tmp_path, LIMITS).write(b"0123456789abcdefghijklmnop")

    writer = OutputWriter(tmp_path, LIMITS)

    assert writer.position == 26
    writer.write(b"qrst")
    assert writer.position == 30
    assert [(tmp_path / name).read_bytes() for name in ("output.log.1", "output.log")] == [b"abcdefghij", b"klmnopqrst"]


def test_a_directory_that_is_gone_is_no_error(tmp_path: Path) -> None:
    writer = OutputWriter(tmp_path / "gone", LIMITS)

    writer.write(b"lost")

    assert writer.position == 4


class FalteringRunner(FakeRunner):
    """Gives out two bytes at a time, and does not answer in between."""

    def __init__(self, context: JobContext, failures: Iterator[Exception]) -> None:
        super().__init__(context.order)
        self._failures = failures

    def follow_output(self, handle: Handle, writer: OutputWriter) -> None:  # noqa: ARG002
        writer.write(b"abcdef"[writer.position : writer.position + 2])
        for failure in self._failures:
            raise failure


def follow(context: JobContext, *failures: Exception) -> bytes:
    follower = OutputFollower(
        FalteringRunner(context, iter(failures)), HANDLE, OutputWriter(context.directory, JobsConfig())
    )
    follower.start()
    assert follower.finish(10)
    return (context.directory / "output.log").read_bytes()


def test_a_target_that_does_not_answer_is_asked_again_from_where_it_stopped(
    context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_follower, "RETRY_SECONDS", 0.01)

    assert follow(context, RunnerUnavailable("away"), RunnerUnavailable("away")) == b"abcdef"


def test_an_unexpected_error_ends_the_following_alone(context: JobContext) -> None:
    assert follow(context, ValueError("a bug")) == b"ab"
