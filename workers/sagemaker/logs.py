"""Copies what a training job's containers wrote from CloudWatch into the job's files: all pages, each byte once.

CloudWatch has a stream for each container; where a job has several, each line says whose it is. What is on disk before
a page is written says where that page begins, so that a worker which dies while writing leaves the next one to write
the rest of the same page.
"""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ipc.messages import plain
from workers.aws.errors import AwsRefused
from workers.aws.requests import Aws
from workers.output import OutputWriter
from workers.record_files import read_record, replace_record

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
POSITION_FILE = "cloudwatch.json"

#: Between two looks while something comes; while nothing does, the pauses grow to the longest.
PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 20.0
#: How often an ended job's logs are looked at without anything new; and where a container has no stream yet, for the
#: first may come many seconds after the end of a short job.
LAST_LOOKS = 2
LAST_LOOKS_FOR_STREAMS = 8

#: Nothing is there yet.
_NOT_FOUND = "ResourceNotFoundException"
#: A token that CloudWatch does not take any more; they are good for a day.
_TOO_OLD = "InvalidParameterException"


class Reached(msgspec.Struct):
    """How far a stream was read: ``token`` continues it; ``time`` (ms) is its last event's, where the token is old."""

    token: str | None = None
    time: int | None = None


class Position(msgspec.Struct):
    """Where the copy stands: the next page is of ``stream``, and begins at byte ``written`` of the job's output."""

    streams: dict[str, Reached] = {}
    stream: str | None = None
    written: int = 0


class CloudWatchCopy:
    """The copy of one training job's logs; goes on where an earlier one, of this process or another, stopped.

    ``hosts`` is how many instances the job has; with several, each line says whose it is.
    """

    def __init__(self, aws: Aws, job: str, directory: Path, writer: OutputWriter, hosts: int) -> None:
        self._aws = aws
        self._job = job
        self._hosts = hosts
        self._path = directory / POSITION_FILE
        self._writer = writer
        self._position = read_record(self._path, Position) or Position()

    @property
    def last_looks(self) -> int:
        """How often the logs of an ended job are to be looked at without anything new."""
        return LAST_LOOKS if len(self._position.streams) >= self._hosts else LAST_LOOKS_FOR_STREAMS

    def copy(self) -> int:
        """Copy what there is at this moment; returns the number of bytes.

        Raises:
            AwsRefused: CloudWatch does not give them out.
            CloudUnavailable: it gave no answer.
        """
        before = self._writer.position
        # The stream in which an earlier copy stopped goes first: its page may be in the files in part.
        for name in sorted(self._streams(), key=lambda name: (name != self._position.stream, name)):
            self._copy_stream(name)
        return self._writer.position - before

    def _streams(self) -> list[str]:
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            page = self._asked(
                "describe_log_streams", logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._job}/", **more
            )
            found += [str(stream["logStreamName"]) for stream in (page or {}).get("logStreams", [])]
            if not page or not page.get("nextToken"):
                return found
            more = {"nextToken": page["nextToken"]}

    def _copy_stream(self, name: str) -> None:
        reached = self._position.streams.setdefault(name, Reached())
        while (page := self._page(name, reached)) is not None:
            events = page.get("events", [])
            token = str(page["nextForwardToken"])
            if events:
                self._write(name, events)
                reached.time = int(events[-1]["timestamp"])
            is_over = token == reached.token
            reached.token = token
            if is_over:
                return

    def _page(self, name: str, reached: Reached) -> dict[str, Any] | None:
        start = {"nextToken": reached.token} if reached.token else {}
        try:
            return self._events(name, **start)
        except AwsRefused as error:
            if error.code != _TOO_OLD or not reached.token:
                raise
        # From the millisecond after the last event that was taken.
        return self._events(name, startTime=(reached.time or 0) + 1)

    def _events(self, name: str, **start: Any) -> dict[str, Any] | None:
        return self._asked("get_log_events", logGroupName=LOG_GROUP, logStreamName=name, startFromHead=True, **start)

    def _asked(self, operation: str, **parameters: Any) -> dict[str, Any] | None:
        """Return CloudWatch's answer, None where it has nothing yet."""
        try:
            return self._aws.call("logs", operation, f"CloudWatch for the output of {self._job}", **parameters)
        except AwsRefused as error:
            if error.code == _NOT_FOUND:
                return None
            raise

    def _write(self, name: str, events: list[dict[str, Any]]) -> None:
        """Write a page, or the rest of it where an earlier copy stopped inside of it."""
        prefix = f"[{_host(name)}] " if self._hosts > 1 else ""
        text = plain("".join(f"{prefix}{event['message']}\n" for event in events)).encode()
        position = self._position
        done = 0
        if position.stream == name:
            done = max(0, self._writer.position - position.written)
        else:
            position.stream, position.written = name, self._writer.position
            _keep(self._path, position)
        self._writer.write(text[done:])
        position.stream = None


def _host(stream: str) -> str:
    """Return whose stream it is: ``algo-1`` of ``JOB/algo-1-1700000000``."""
    return stream.rpartition("/")[2].rpartition("-")[0] or stream


def _keep(path: Path, position: Position) -> None:
    """Write the position where a later copy reads it, whole or not at all."""
    # On a full disk a later copy may repeat a page.
    with suppress(OSError):
        replace_record(path, position)


def follow(copy: CloudWatchCopy, ended: threading.Event, shortest: float = PAUSE_SECONDS) -> None:
    """Copy until the job has ended and nothing has come for some looks more: CloudWatch is late.

    ``shortest`` is the pause between two looks while something comes, in seconds.
    """
    quiet, pause = 0, shortest
    while quiet < copy.last_looks:
        was_over = ended.is_set()
        came = copy.copy()
        if was_over:
            quiet, pause = (0 if came else quiet + 1), shortest
            threading.Event().wait(pause)
        else:
            pause = shortest if came else min(pause * 1.5, LONGEST_PAUSE_SECONDS)
            ended.wait(pause)
