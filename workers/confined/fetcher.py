"""Fetches a job's source in a process of its own, as the job's fetch user, and hands it to the job's user.

The process is a fork of the worker: it has what fetching needs, the credentials among them, and gives up the rest. It
tells the worker what it does through a pipe. Owns that process; how a source is fetched is the source's.
"""

import gc
import logging
import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import connection
from typing import NoReturn

import msgspec
from setproctitle import setproctitle

from ipc.control_groups import ControlGroup
from ipc.errors import ErrorReport, HostError, InvalidSpec, JobCancelled, JobError, PolicyRefused, SourceError
from ipc.messages import Event, PhaseChanged, WarningRaised
from ipc.states import JobState
from ipc.work_order import FETCH_DIRECTORY
from workers.confined.credentials import HOME_DIRECTORY, bring_credentials
from workers.confined.directories import WORK_DIRECTORY, remove_directory
from workers.confined.forks import become
from workers.confined.hand_over import hand_over
from workers.context import JobContext, StopSignal
from workers.processes import die_with_parent, forbid_new_privileges
from workers.sources import Project, Source, overridden, with_directories
from workers.subprocess_runner import end_tools_group, make_tools_group, open_monitor

#: From the word to a fetching process that it is to end, to SIGKILL, in seconds; it ends its tools meanwhile.
END_SECONDS = 5.0

#: Longer than any line that this code sends, in bytes.
_MAX_LINE = 1 << 20

#: For temporary files, in the directory where a source is fetched.
TEMPORARY_DIRECTORY = "temporary"

_READ_BYTES = 64 * 1024

log = logging.getLogger(__name__)


class _Said(msgspec.Struct, frozen=True, tag="said"):
    """What is being done."""

    message: str | None


class _Warned(msgspec.Struct, frozen=True, tag="warned"):
    message: str
    stage: str


class _Fetched(msgspec.Struct, frozen=True, tag="fetched"):
    project: Project


class _NotFetched(msgspec.Struct, frozen=True, tag="not-fetched"):
    report: ErrorReport
    detail: str | None


class _Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The host refused something, its disk being full, for instance."""

    number: int
    strerror: str


_Line = _Said | _Warned | _Fetched | _NotFetched | _Refused
# A project has a path.
_encoder = msgspec.json.Encoder(enc_hook=str)
_decoder: msgspec.json.Decoder[_Line] = msgspec.json.Decoder(_Line, dec_hook=lambda kind, text: kind(text))


class FetcherLost(Exception):
    """The process that fetched died without a word about how it went."""


def _as_raised(failure: _NotFetched) -> JobError:
    """Return the error that the fetching process reported: one of those that a source raises."""
    kinds = {kind.__name__: kind for kind in (SourceError, PolicyRefused, InvalidSpec, HostError, JobCancelled)}
    kind = kinds.get(failure.report.kind, SourceError)
    return kind(failure.report.message, hint=failure.report.hint, detail=failure.detail)


def fetch(context: JobContext, source: Source) -> Project:
    """Bring the job's files into its working directory, which is empty, and return the project.

    Raises:
        JobError: what the source raises, with the same report, or the files cannot be handed over.
        OSError: the host refused something.
        FetcherLost: the process that fetched died.
        JobCancelled: the job was stopped meanwhile.
    """
    try:
        bring_credentials(context)
        project = _Fetcher(context, source).follow()
        hand_over(context)
    finally:
        # Not only for its room: credentials are there.
        remove_directory(context.directory / FETCH_DIRECTORY, lambda problem: context.warn(problem, "agent"))
    return msgspec.structs.replace(project, directory=context.work)


class _Fetcher:
    """The worker's side of a process that fetches."""

    def __init__(self, context: JobContext, source: Source) -> None:
        self._context = context
        self._group = make_tools_group(context.order)
        self._reader, writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _be_fetcher(context, source, writer, self._group)
        os.close(writer)

    def follow(self) -> Project:
        """Wait for the end of the process, and return the project, which lies where it was fetched."""
        try:
            for line in self._lines():
                match line:
                    case _Said(message):
                        self._context.report_phase(JobState.FETCHING, message)
                    case _Warned(message, stage):
                        self._context.warn(message, stage)
                    case _Fetched(project):
                        return project
                    case _NotFetched():
                        raise _as_raised(line)
                    case _Refused(number, strerror):
                        raise OSError(number, strerror)
            raise FetcherLost("the process that fetched the job's source died without a word")
        finally:
            self._end()
            os.close(self._reader)

    def _lines(self) -> Iterator[_Line]:
        unfinished = b""
        while len(unfinished) < _MAX_LINE:
            connection.wait([self._reader, self._context.signal_fileno()])
            self._context.raise_if_interrupted()
            data = os.read(self._reader, _READ_BYTES)
            if not data:
                return
            *lines, unfinished = (unfinished + data).split(b"\n")
            yield from map(_decoder.decode, lines)

    def _end(self) -> None:
        descriptor = os.pidfd_open(self._pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            if not connection.wait([descriptor], END_SECONDS):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
            os.waitpid(self._pid, 0)
            end_tools_group(self._group)


# -- the process that fetches


def _be_fetcher(context: JobContext, source: Source, writer: int, group: ControlGroup | None) -> NoReturn:
    try:
        order = context.order
        if group is not None:
            group.enter()
        _leave_worker(writer)
        if order.fetch_user is not None:
            become(order.fetch_user)
            # A file of the agent's user, such as its .netrc, is not for this one.
            os.environ["HOME"] = order.fetch_user.home
        setproctitle(f"launchd: fetching {order.name}")
        # Its tools are in the group with it; it may make none.
        own = msgspec.structs.replace(order, directory=f"{order.directory}/{FETCH_DIRECTORY}", control_group=None)
        _fetch(JobContext(own, context.api_key, lambda event: _tell(writer, event)), source, writer)
    except BaseException:  # noqa: BLE001 (nothing may reach the worker's code further up this stack)
        log.error("The process that fetches met an unexpected error.\n%s", traceback.format_exc())
    finally:
        os._exit(0)


def _leave_worker(writer: int) -> None:
    """Give up the worker's descriptors, but for the log's and the one by which tools are started.

    The worker's objects are never collected here.
    """
    gc.disable()
    gc.freeze()
    kept = sorted({0, 1, 2, writer, open_monitor()[1], *_log_descriptors()})
    for before, after in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(before + 1, after)


def _log_descriptors() -> Iterator[int]:
    for handler in logging.getLogger().handlers:
        with suppress(AttributeError, OSError, ValueError):
            yield handler.stream.fileno()  # type: ignore[attr-defined]


def _fetch(context: JobContext, source: Source, writer: int) -> None:
    # A change of user undoes what was asked for before.
    die_with_parent()
    forbid_new_privileges()
    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda *_: context.interrupt(StopSignal("the worker asked for it", 0.0)))
    try:
        for name in (WORK_DIRECTORY, HOME_DIRECTORY, TEMPORARY_DIRECTORY):
            (context.directory / name).mkdir(exist_ok=True)
        project = overridden(source.fetch(context), context.order.spec)
        _send(writer, _Fetched(with_directories(project)))
    except JobError as error:
        _send(writer, _NotFetched(error.report(), error.detail))
    except OSError as error:
        _send(writer, _Refused(error.errno or 0, error.strerror or str(error)))


def _tell(writer: int, event: Event) -> None:
    match event:
        case PhaseChanged(_, message):
            _send(writer, _Said(message))
        case WarningRaised(message, stage):
            _send(writer, _Warned(message, stage))
        case _:
            # A source says nothing else.
            pass


def _send(writer: int, line: _Line) -> None:
    data = _encoder.encode(line) + b"\n"
    while data:
        data = data[os.write(writer, data) :]
