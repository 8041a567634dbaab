"""Starts a command behind a gate: the process exists long before, and what comes through the gate is the command.

So the start can be noted on disk, with the process's id, before anything of the
command has happened; a shim that dies before opening the gate has started nothing.
"""

import errno
import os
import pwd
import signal
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec

from workers.processes import ProcessKey, die_with_parent, key_of_child

#: What a shell says of a command that is not there, and of one that cannot be executed.
EXIT_NOT_FOUND = 127
EXIT_NOT_EXECUTABLE = 126

#: What a shell, Python, the agent or the shim may have changed. Resetting all sixty takes as long as all the rest.
_RESET_SIGNALS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGPIPE,
    signal.SIGALRM,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
    signal.SIGCONT,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGXFSZ,
)

_JOB_UMASK = 0o022


class Identity(msgspec.Struct, frozen=True):
    """The user a command runs as."""

    name: str
    uid: int
    gid: int


class Plan(msgspec.Struct, frozen=True):
    """What the process behind the gate is to become."""

    command: tuple[str, ...]
    environment: dict[str, str]
    work: str
    user: Identity | None = None


class SpawnFailure(msgspec.Struct, frozen=True):
    """Why a command could not be executed: a shell's exit code for it, and a sentence."""

    code: int
    message: str


_plan_decoder = msgspec.json.Decoder(Plan)
_failure_decoder = msgspec.json.Decoder(SpawnFailure)


class GatedProcess:
    """A process that waits to become a command: in a session of its own, its output going into a pipe."""

    def __init__(self, pid: int, gate: int, failure: int, output: int) -> None:
        self.key: ProcessKey = key_of_child(pid)
        self.output = output
        self._gate = gate
        self._failure = failure

    def open_gate(self, plan: Plan) -> SpawnFailure | None:
        """Let it execute ``plan``; return why that failed, or ``None`` once the command runs."""
        with suppress(BrokenPipeError), os.fdopen(self._gate, "wb") as gate:
            gate.write(msgspec.json.encode(plan))
        with os.fdopen(self._failure, "rb") as failure:
            report = failure.read()
        return _failure_decoder.decode(report) if report else None

    def discard(self) -> None:
        """Let it end without having executed anything."""
        os.close(self._gate)
        os.close(self._failure)


def find_user(name: str) -> Identity:
    """Return the user called ``name``; raises :class:`LookupError` when there is none."""
    entry = pwd.getpwnam(name)
    return Identity(name, entry.pw_uid, entry.pw_gid)


def spawn_gated() -> GatedProcess:
    """Fork a process that waits for its command, and ends when this one does."""
    gate_reader, gate_writer = os.pipe()
    failure_reader, failure_writer = os.pipe()
    output_reader, output_writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        for descriptor in (gate_writer, failure_reader, output_reader):
            os.close(descriptor)
        _wait_and_become(parent, gate_reader, failure_writer, output_writer)
    for descriptor in (gate_reader, failure_writer, output_writer):
        os.close(descriptor)
    os.set_blocking(output_reader, False)
    return GatedProcess(pid, gate_writer, failure_reader, output_reader)


def _wait_and_become(parent: int, gate: int, failure: int, output: int) -> NoReturn:
    try:
        _prepare_process(output)
        with os.fdopen(gate, "rb") as file:
            plan = file.read()
        if plan:
            _become(_plan_decoder.decode(plan), parent, failure)
    finally:
        os._exit(EXIT_NOT_EXECUTABLE)


def _prepare_process(output: int) -> None:
    os.setsid()
    die_with_parent()
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for number in _RESET_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    os.umask(_JOB_UMASK)


def _become(plan: Plan, parent: int, failure: int) -> None:
    """Execute the plan, or report why that cannot be done."""
    try:
        if plan.user is not None:
            _change_user(plan.user, parent)
        os.chdir(plan.work)
        os.execvpe(plan.command[0], plan.command, plan.environment)  # noqa: S606 (no shell is the point)
    except (OSError, ValueError) as error:
        os.write(failure, msgspec.json.encode(_explain(error, plan)))


def _change_user(user: Identity, parent: int) -> None:
    os.initgroups(user.name, user.gid)
    os.setgid(user.gid)
    os.setuid(user.uid)
    # The change of user undid the wish to die with the shim; in between, the shim may have died.
    die_with_parent()
    if os.getppid() != parent:
        os._exit(EXIT_NOT_EXECUTABLE)


def _explain(error: OSError | ValueError, plan: Plan) -> SpawnFailure:
    name = plan.command[0]
    match error:
        case FileNotFoundError() if not Path(plan.work).is_dir():
            return SpawnFailure(EXIT_NOT_EXECUTABLE, "The job's working directory was removed before it started.")
        case FileNotFoundError() if os.sep in name and Path(plan.work, name).exists():
            return SpawnFailure(EXIT_NOT_FOUND, f"The interpreter in the first line of {name} is not on this host.")
        case FileNotFoundError() | NotADirectoryError():
            return SpawnFailure(EXIT_NOT_FOUND, f"The command {name} was not found on this host.")
        case PermissionError(filename=plan.work):
            message = f"The job's user may not enter {plan.work}: see the permissions of the directories above it."
            return SpawnFailure(EXIT_NOT_EXECUTABLE, message)
        case PermissionError():
            return SpawnFailure(EXIT_NOT_EXECUTABLE, f"The command {name} may not be executed: see its permissions.")
        case OSError(errno=errno.ENOEXEC):
            return SpawnFailure(EXIT_NOT_EXECUTABLE, f"{name} is neither a program nor a script with a #! line.")
        case OSError(errno=errno.E2BIG):
            return SpawnFailure(EXIT_NOT_EXECUTABLE, _too_big(plan))
        case _:
            return SpawnFailure(EXIT_NOT_EXECUTABLE, f"The command {name} could not be started: {error}.")


def _too_big(plan: Plan) -> str:
    size = sum(map(len, plan.command)) + sum(len(name) + len(value) for name, value in plan.environment.items())
    return (
        f"The command and its environment, which holds the run's config, take {size // 1024} KiB; that is more than "
        "this host gives to a process. Move large values of the config into an artifact."
    )
