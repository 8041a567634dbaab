"""A virtual environment for a project's requirements, kept by content and shared by all jobs that ask for the same.

Built by one worker at a time, with uv where it is installed and pip otherwise.
"""

import hashlib
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path

import msgspec

from ipc.directories import make_passable
from ipc.errors import BuildError
from ipc.work_order import JobUser
from workers.builders import Build
from workers.builders.requirements import Requirements, find_requirements
from workers.builders.venv_cache import Entry, EntryLock, trim
from workers.context import JobContext
from workers.process_environment import process_environment
from workers.sources import Project
from workers.subprocess_runner import Limits, ToolCommand, ToolFailed, run_command

#: Part of every key: environments of another layout are not used, and in time removed.
_LAYOUT = 1
_KEY_CHARACTERS = 32
_LOOK_AGAIN_SECONDS = 0.2
#: Settings of pip and uv that the administrator gave the agent, such as a package index of the organisation.
_TOOL_PREFIXES = ("PIP_", "UV_")
_REQUIREMENTS_NAME = "environment-requirements.txt"
#: How pip and uv begin a complaint; what is indented below belongs to it.
_COMPLAINT = re.compile(r"^(?:ERROR:|error:| *×)(.+(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_ORNAMENTS = str.maketrans("╰├─▶", "    ")
_LONGEST_COMPLAINT = 400

log = logging.getLogger(__name__)


class _Installation:
    """The installation of one project's requirements into an environment."""

    def __init__(self, project: Project, requirements: Requirements, context: JobContext) -> None:
        self._project = project
        self._requirements = requirements
        self._context = context
        self._settings = context.order.venv
        self._user = context.order.user
        self._python = self._settings.python or sys.executable
        self._environment = _tool_environment(os.environ, self._user)
        # uv, as a Python package, lies beside the interpreter of the agent.
        self._uv = shutil.which("uv", path=f"{self._environment['PATH']}:{Path(sys.executable).parent}")

    def key(self) -> str:
        """Return a name for everything the environment's content depends on."""
        parts = (
            _LAYOUT,
            "uv" if self._uv else "pip",
            self._interpreter(),
            self._settings.pip_args,
            self._user,
            self._requirements.inputs,
            self._context.order.name if self._requirements.is_local else None,
        )
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:_KEY_CHARACTERS]

    def install(self, target: Path, lock: EntryLock) -> None:
        """Make the environment ``target`` and install into it; the tools hold ``lock`` too while they live."""
        self._context.progress(f"building an environment from {self._requirements.origin}")
        target.mkdir(mode=0o755)
        if self._user is not None:
            os.chown(target, self._user.uid, self._user.gid)
        for arguments in self._steps(target):
            self._run(arguments, lock)

    def _steps(self, target: Path) -> Iterator[tuple[str, ...]]:
        source = ("-r", str(self._requirements_file()))
        inside = str(target / "bin" / "python")
        if self._uv is not None:
            yield self._uv, "venv", "--python", self._python, "--allow-existing", str(target)
            yield self._uv, "pip", "install", "--python", inside, *self._settings.pip_args, *source
        else:
            # -I: the tool runs in the project, which may have a logging.py of its own.
            yield self._python, "-I", "-m", "venv", str(target)
            yield inside, "-I", "-m", "pip", "install", "--no-input", *self._settings.pip_args, *source

    def _run(self, arguments: tuple[str, ...], lock: EntryLock) -> None:
        limits = Limits(silent_seconds=self._settings.no_progress_timeout_seconds)
        command = ToolCommand(
            arguments, self._environment, self._project.directory, limits, self._user, keep_open=(lock.fileno(),)
        )
        try:
            run_command(self._context, command, self._context.progress)
        except ToolFailed as error:
            raise BuildError(
                f"The environment from {self._requirements.origin} could not be built: {_in_words(error)}",
                hint="All that was said is in `launchd logs --worker`, on the host that built it.",
                detail=error.output,
            ) from error

    def _requirements_file(self) -> Path:
        """Return a file with the requirements; those of ``pyproject.toml`` are written to a new one."""
        given = self._project.directory / self._requirements.origin
        if given.suffix == ".txt":
            return given
        # Not in the project, where a link made by its author might lead anywhere.
        written = self._context.directory / _REQUIREMENTS_NAME
        written.write_text(self._requirements.text)
        if self._user is not None:
            os.chown(written, self._user.uid, self._user.gid)
        return written

    def _interpreter(self) -> tuple[str, int, int]:
        try:
            found = Path(self._python).resolve(strict=True)
            status = found.stat()
        except OSError as error:
            raise BuildError(
                f"The interpreter {self._python} is not on this host.",
                hint="The administrator sets it in launchd.venv.python.",
            ) from error
        return str(found), status.st_size, status.st_mtime_ns


class VenvBuilder:
    """Builds what ``requirements.txt``, ``pyproject.toml`` or ``requirements.frozen.txt`` asks for."""

    def needed(self, project: Project) -> bool:
        """Return whether the project has requirements."""
        return find_requirements(project.directory) is not None

    def build(self, project: Project, context: JobContext) -> Build:
        """Build the environment, or wait for another worker's, or find it built before.

        The environment is locked against removal for the rest of this worker's life.

        Raises:
            BuildError: with the end of the output as ``detail``.
            JobCancelled: the job was stopped meanwhile.
        """
        requirements = find_requirements(project.directory)
        if requirements is None:
            return Build()
        cache = _cache_directory(context)
        installation = _Installation(project, requirements, context)
        entry = Entry(cache, installation.key())
        lock = EntryLock(entry.lock_path)
        try:
            _make_sure_of(entry, lock, installation, context)
        except BaseException:
            lock.close()
            raise
        for removed in trim(cache, context.order.venv.cache_max_bytes):
            log.info("An environment was removed from the cache.", extra={"key": removed})
        environment = {"VIRTUAL_ENV": str(entry.path)}
        return Build(environment, (str(entry.path / "bin"),), cache_locks=(str(entry.lock_path),))


def _cache_directory(context: JobContext) -> Path:
    configured = context.order.venv.cache_dir
    cache = Path(configured) if configured else context.directory.parent.parent / "venvs"
    make_passable(cache)
    return cache


def _make_sure_of(entry: Entry, lock: EntryLock, installation: _Installation, context: JobContext) -> None:
    """Return with the environment complete and locked (shared)."""
    while not (entry.is_complete() and lock.try_shared() and entry.is_complete()):
        if not lock.try_exclusive():
            context.progress("waiting for another job that builds the same environment")
            connection.wait([context.signal_fileno()], _LOOK_AGAIN_SECONDS)
            context.raise_if_interrupted()
        elif not entry.is_complete():
            with _whole_or_nothing(entry):
                installation.install(entry.path, lock)
    entry.note_use()


@contextmanager
def _whole_or_nothing(entry: Entry) -> Iterator[None]:
    # What is there was left by a builder that died.
    entry.remove()
    try:
        yield
        entry.complete()
    finally:
        if not entry.is_complete():
            entry.remove()


def _in_words(error: ToolFailed) -> str:
    """Return how the tool ended, and the last of its own words on it."""
    complaints = _COMPLAINT.findall(error.output)
    if not complaints:
        return error.message
    words = " ".join(complaints[-1].translate(_ORNAMENTS).split())[:_LONGEST_COMPLAINT]
    return f"{error.message} It said: {words.rstrip('.')}."


def _tool_environment(worker: Mapping[str, str], user: JobUser | None) -> dict[str, str]:
    environment = process_environment(worker, user)
    # The certificates that this host trusts, as pip does; newer and older releases of uv know it by these two names.
    environment.update(UV_SYSTEM_CERTS="true", UV_NATIVE_TLS="true")
    environment.update((name, value) for name, value in worker.items() if name.startswith(_TOOL_PREFIXES))
    # No interpreter but the one chosen, and no question on a terminal.
    environment.update(UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    if not Path(environment.get("HOME", "")).is_dir():
        environment.update(UV_NO_CACHE="1", PIP_NO_CACHE_DIR="1")
    return environment
