"""Runs the administrator's hooks before and after a job: programs that the configuration names, and no submitter.

Owns their order, their environment, and the record in the job's directory by which a worker after this one knows how
far they came. Root's hooks run as the agent's user in ``/``, with a fixed environment; the job's run as its user in its
working directory. They are told of the job by JSON on standard input, which names no path.

The rule over all deaths: after-hooks run for each attempt whose before-hooks have begun, and before they have ended
nothing is said of the job's end. A before-hook is not run again for what it was run for: where its worker died before
the workload existed, the after-hooks run, and all begins anew. A hook whose end is not on disk is run again.
"""

import logging
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from ipc.directories import sync_names
from ipc.errors import JobError
from ipc.handles import ExitResult
from ipc.states import JobState
from workers.context import JobContext
from workers.process_environment import process_environment
from workers.subprocess_runner import Limits, ToolCommand, ToolFailed, run_command

#: In the job's directory, which belongs to the agent's user: the output of hooks, and how far they came.
OUTPUT_FILE = "hooks.log"
RECORD_FILE = "hooks.json"

#: Of the output of all hooks of a job so much is kept, in characters.
MAX_OUTPUT = 1 << 20

#: What root's hooks find.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/",
}

#: Who may write these can make a program another one.
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH

log = logging.getLogger(__name__)


class HookFailed(JobError):
    """A hook before the job failed, and the job is not started."""


class Record(msgspec.Struct, frozen=True):
    """The before-hooks have begun; ``ended`` are the after-hooks that have ended."""

    ended: tuple[str, ...] = ()


class Hooks:
    """The hooks of one job; nothing is done, and nothing written, where none is configured."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._hooks = context.order.hooks
        self._record = context.directory / RECORD_FILE

    def run_before(self) -> None:
        """Run the hooks before the job: root's, then the job's.

        Raises:
            HookFailed: one failed; the message says how.
            JobCancelled: the job was stopped meanwhile.
            OSError: the disk refuses the record.
        """
        if not self._hooks.is_any:
            return
        self._write(Record())
        for name in ("before", "job_before"):
            try:
                self._run(name, {}, heeds_stop=True)
            except ToolFailed as error:
                where = f"Its output is in {OUTPUT_FILE} in the job's directory, {self._context.directory}."
                raise HookFailed(
                    f"The hook {name} of this host failed, and the job was not started: {error.message}",
                    hint=where,
                    detail=error.output,
                ) from error

    def run_after(self, state: JobState, result: ExitResult | None = None) -> None:
        """Run the hooks after an attempt, if those before it have begun: the job's, then root's.

        One that fails is a warning at the item. Raises ``DetachRequested`` when the worker is to leave; the next one
        goes on.
        """
        record = self._read()
        if record is None:
            return
        for name in ("job_after", "after"):
            if name not in record.ended:
                self._run_one_after(name, _outcome(state, result))
                record = Record((*record.ended, name))
                with suppress(OSError):
                    self._write(record)

    def start_over(self) -> None:
        """Run the hooks after an attempt of which nothing exists, so that its next start finds none of it."""
        self.run_after(JobState.CLAIMED)
        self._record.unlink(missing_ok=True)

    def _run_one_after(self, name: str, outcome: Mapping[str, Any]) -> None:
        try:
            self._run(name, outcome, heeds_stop=False)
        except ToolFailed as error:
            self._context.warn(f"The hook {name} of this host failed: {error.message}", "run")
        except OSError as error:
            self._context.warn(f"The hook {name} of this host could not be run: {error.strerror}.", "run")

    def _run(self, name: str, outcome: Mapping[str, Any], *, heeds_stop: bool) -> None:
        words: Sequence[str] = getattr(self._hooks, name)
        if not words:
            return
        is_jobs = name.startswith("job_")
        _require_safe(name, words[0])
        if not is_jobs:
            user, environment, directory = None, dict(ENVIRONMENT), Path("/")
        else:
            user = self._context.order.user
            environment, directory = process_environment(os.environ, user), self._context.work
        with _readable(self._told(name, outcome)) as told, self._output() as write:
            command = ToolCommand(
                words,
                environment | {"LAUNCHD_HOOK": name},
                directory,
                Limits(total_seconds=self._hooks.timeout_seconds, total_key="launchd.hooks.timeout_seconds"),
                user,
                umask=0o077,
                name=f"{words[0]}",
                told=told,
                heeds_stop=heeds_stop,
            )
            run_command(self._context, command, write)

    def _told(self, name: str, outcome: Mapping[str, Any]) -> bytes:
        order, spec = self._context.order, self._context.order.spec
        job = {
            "hook": name,
            "workload": order.name,
            "attempt": order.attempt,
            "item_id": order.item_id,
            "queue": order.queue,
            "run_id": spec.run_id,
            "entity": spec.entity,
            "project": spec.project,
            "name": spec.name,
            "author": spec.author,
            "resource": spec.resource,
            "user": order.user and order.user.uid,
            "gpus": [gpu.uuid for gpu in order.gpus or ()],
        }
        return msgspec.json.encode(job | dict(outcome)) + b"\n"

    @contextmanager
    def _output(self) -> Iterator[Any]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self._context.directory / OUTPUT_FILE, flags, 0o600), "a", errors="replace") as file:

            def write(line: str) -> None:
                if file.tell() < MAX_OUTPUT:
                    with suppress(OSError):
                        file.write(f"{line}\n")
                        file.flush()

            yield write

    def _read(self) -> Record | None:
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError):
            # Torn by a power cut: they had begun.
            return Record()

    def _write(self, record: Record) -> None:
        new = self._record.with_name(f".{RECORD_FILE}.new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(record))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._record)
        sync_names(self._record.parent)


def _outcome(state: JobState, result: ExitResult | None) -> dict[str, Any]:
    """Return what after-hooks are told of the end; *claimed* is an attempt of which nothing came to exist."""
    seen = result or ExitResult()
    return {"outcome": str(state), "exit_code": seen.code, "signal": seen.signal}


@contextmanager
def _readable(data: bytes) -> Iterator[int]:
    """Yield a descriptor of which ``data`` is read: no pipe, which one that reads nothing would leave full."""
    descriptor = os.memfd_create("hook", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _require_safe(name: str, program: str) -> None:
    """Refuse a program that others than root and the agent's user can change, or put another one in its place.

    Raises:
        ToolFailed: it is one, or is not there.
    """
    path = Path(program)
    try:
        looked_at = {*path.parents, path, *path.resolve(strict=True).parents, path.resolve()}
        unsafe = sorted(str(each) for each in looked_at if not _is_safe(each))
    except OSError as error:
        raise ToolFailed(
            f"The program {program} of launchd.hooks.{name} cannot be run: {error.strerror}.", ""
        ) from error
    if unsafe:
        raise ToolFailed(f"{unsafe[0]} can be changed by other users, so that {program} is not run.", "")


def _is_safe(path: Path) -> bool:
    found = path.stat()
    # Of a directory such as /tmp others cannot take away what is not theirs.
    is_shared = stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)
    return found.st_uid in {0, os.geteuid()} and (is_shared or not found.st_mode & _OTHERS_MAY_WRITE)
