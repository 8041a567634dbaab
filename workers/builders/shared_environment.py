"""Environments that the jobs of this host share: hashed wheels alone, kept by what they hold.

They are resolved and installed away from the project and without running a package's code, by a user who is no job's,
and no job can write into them.
"""

import hashlib
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection
from pathlib import Path

import msgspec

from ipc.errors import BuildError, HostError
from ipc.plain_files import open_plain
from ipc.work_order import JobUser
from workers.builders.index_files import configured_indexes
from workers.builders.index_order import ALL_ARE_ONE, IndexOrder, order_indexes
from workers.builders.index_settings import index_settings, secrets_of
from workers.builders.installers import Files, Installer, compile_command, identify
from workers.builders.requirement_lines import Listing
from workers.builders.tools import Workshop, build_error, give_directory, give_file, in_words, tool_environment
from workers.builders.venv_cache import Entry, EntryLock, files_below
from workers.builders.wheels import NotShareable, Wheel
from workers.context import JobContext
from workers.subprocess_runner import ToolFailed

#: Part of every key: environments of another layout are not used, and in time removed.
_LAYOUT = 2
_KEY_CHARACTERS = 32
_LOOK_AGAIN_SECONDS = 0.2
_LONGEST_ANSWER = 16 << 20
_DESK = "resolution"
#: What only the owner may have.
_FORBIDDEN = stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID
#: No project and no job can put a file there that an installer would obey.
_NOWHERE = Path("/")

#: Fills an empty directory; tools hold the lock too while they live.
Make = Callable[[Path, EntryLock], None]

log = logging.getLogger(__name__)


class SharedEnvironments:
    """The shared environments in the directory ``cache``, for one job."""

    def __init__(self, cache: Path, installer: Installer, python: str, context: JobContext) -> None:
        self._cache = cache
        self._installer = installer
        self._python = python
        self._context = context
        self._user = context.order.install_user
        self._settings = index_settings(os.environ, installer.name)
        self._environment = self._tool_environment()
        self._configured = configured_indexes(installer.name, self._environment, context.order.venv.pip_args)

    def resolve(self, listing: Listing) -> tuple[Wheel, ...]:
        """Return the wheels that ``listing`` comes to.

        Raises:
            NotShareable: it comes to something else, or to nothing.
            JobCancelled: the job was stopped meanwhile.
        """
        python = self._resolving_python()
        order = self._order(listing)
        if order.note is not None:
            self._context.warn(order.note, "build")
        self._context.progress("resolving the requirements")
        with self._workshop(listing) as workshop:
            asked = self._write("asked-requirements.txt", (*order.lines, *listing.requirements))
            limits = self._write("asked-constraints.txt", listing.constraints)
            files = Files(asked, limits, self._context.directory / _DESK / self._installer.answer, order.is_mixed)
            try:
                workshop.run(self._installer.resolve(files, python))
                return self._installer.wheels(_read_answer(files.answer))
            except ToolFailed as error:
                raise NotShareable(f"they do not resolve to wheels alone: {in_words(error)}") from error

    def environment(self, wheels: tuple[Wheel, ...], listing: Listing, origin: str) -> Entry:
        """Return the environment with ``wheels``, installed now or before; locked for the rest of this worker's life.

        Raises:
            BuildError: with the end of the output as ``detail``.
            JobCancelled: the job was stopped meanwhile.
        """
        lines = tuple(wheel.line() for wheel in wheels)
        is_there = True

        def make(target: Path, lock: EntryLock) -> None:
            nonlocal is_there
            is_there = False
            self._context.progress(f"building an environment from {origin}")
            with self._workshop(listing, lock) as workshop:
                try:
                    workshop.run(self._installer.create(target))
                    if lines:
                        locked = self._write("locked-requirements.txt", (*self._order(listing).lines, *lines))
                        workshop.run(self._installer.install_wheels(target, locked))
                except ToolFailed as error:
                    raise build_error(origin, error) from error
                _compile(workshop, self._python, target)
            # uv's, which all may write; nothing is installed here again.
            with suppress(OSError):
                (target / ".lock").unlink()
            self._check(target)

        entry = self._entry(wheels, make)
        self._context.note_built("environment", reused=is_there)
        return entry

    def _resolving_python(self) -> str:
        """Return the interpreter to resolve with; pip is in environments alone, so one is kept for that."""
        if not self._installer.resolves_inside:
            return self._python

        def make(target: Path, lock: EntryLock) -> None:
            with self._workshop(Listing(()), lock) as workshop:
                try:
                    workshop.run(self._installer.create(target))
                except ToolFailed as error:
                    raise build_error(self._installer.name, error) from error

        return str(self._entry(self._installer.name, make).path / "bin" / "python")

    def _entry(self, content: object, make: Make) -> Entry:
        entry = Entry(self._cache, self._key(content))
        lock = EntryLock(entry.lock_path)
        try:
            self._make_sure_of(entry, lock, make)
        except BaseException:
            lock.close()
            raise
        return entry

    def _make_sure_of(self, entry: Entry, lock: EntryLock, make: Make) -> None:
        """Return with the environment complete and locked (shared)."""
        while not (entry.is_complete() and lock.try_shared() and entry.is_complete()):
            if not lock.try_exclusive():
                self._context.progress("waiting for another job that builds the same environment")
                connection.wait([self._context.signal_fileno()], _LOOK_AGAIN_SECONDS)
                self._context.raise_if_interrupted()
            elif not entry.is_complete():
                with _whole_or_nothing(entry):
                    make(give_directory(entry.path, self._user), lock)
        entry.note_use()

    def _key(self, content: object) -> str:
        """Return a name for ``content`` and everything else that an environment depends on."""
        user = self._user and self._user.uid
        settings = self._context.order.venv
        parts = (_LAYOUT, self._installer.name, identify(self._python), settings.pip_args, user, content)
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:_KEY_CHARACTERS]

    def _order(self, listing: Listing) -> IndexOrder:
        return order_indexes(self._installer.name, self._settings.lines, self._configured, listing.options)

    def _write(self, name: str, lines: tuple[str, ...]) -> Path:
        """Write a file for the installer; addresses in it may have passwords."""
        return give_file(self._context.directory / name, "".join(f"{line}\n" for line in lines), self._user)

    def _tool_environment(self) -> dict[str, str]:
        environment = tool_environment(self._user, self._settings.environment, proxy_passwords=True)
        return environment if self._user is None else environment | _own_caches(self._cache, self._user)

    @contextmanager
    def _workshop(self, listing: Listing, *locks: EntryLock) -> Iterator[Workshop]:
        desk = self._context.directory / _DESK
        # An earlier worker may have left it.
        shutil.rmtree(desk, ignore_errors=True)
        give_directory(desk, self._user, 0o700)
        order = self._order(listing)
        environment = {**({} if order.is_mixed else ALL_ARE_ONE), **self._environment, "TMPDIR": str(desk)}
        secrets = (*self._settings.secrets, *secrets_of(order.lines))
        descriptors = tuple(lock.fileno() for lock in locks)
        try:
            yield Workshop(self._context, self._user, _NOWHERE, environment, descriptors, secrets)
        finally:
            shutil.rmtree(desk, ignore_errors=True)

    def _check(self, target: Path) -> None:
        """Raise :class:`BuildError` where others than the installing user could change what was installed."""
        if self._user is None:
            return
        for path, status in files_below(target):
            is_open = status.st_mode & _FORBIDDEN and not stat.S_ISLNK(status.st_mode)
            if is_open or status.st_uid != self._user.uid:
                raise BuildError(
                    f"The environment cannot be shared: others could change {path.relative_to(target)} in it.",
                    hint="The package that brings this file is to be left out, or the job to be launched without it.",
                )


def _own_caches(cache: Path, user: JobUser) -> dict[str, str]:
    """Return variables with the caches of the user who installs what is shared, and make their directory."""
    home = cache / f"installer-{user.uid}"
    with suppress(FileExistsError):
        give_directory(home, user, 0o700)
    caches = {"UV_CACHE_DIR": str(home / "uv"), "PIP_CACHE_DIR": str(home / "pip")}
    # Without an entry in the password file it has no other home.
    return caches if user.name is not None else {**caches, "HOME": str(home)}


def _compile(workshop: Workshop, python: str, target: Path) -> None:
    """Compile the modules: jobs, which cannot write here, would do it each time they start."""
    try:
        workshop.run(compile_command(python, target))
    except ToolFailed as error:
        # Packages have files that are not meant for this interpreter.
        log.info("Not all modules of an environment could be compiled.", extra={"error": error.message})


def _read_answer(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            return file.read(_LONGEST_ANSWER)
    except OSError as error:
        raise NotShareable("the installer gave no answer") from error


@contextmanager
def _whole_or_nothing(entry: Entry) -> Iterator[None]:
    # What is there was left by a builder that died.
    problem = entry.remove()
    if problem is not None:
        raise HostError(
            f"What is left of an unfinished environment could not be removed: {problem}.",
            hint="The administrator removes it from the directory of environments.",
        )
    try:
        yield
        entry.complete()
    finally:
        if not entry.is_complete():
            entry.remove()
