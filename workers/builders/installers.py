"""The tools that make virtual environments: uv where it comes with the agent, else pip. Owns their commands alone.

Resolving runs no code of a package: with ``--only-binary :all:`` uv builds nothing; pip, which builds what a wheel
names by its address, runs in a program that refuses to start any process (``resolving_pip.py``).
"""

from pathlib import Path
from typing import Protocol

import msgspec

from ipc.errors import BuildError
from ipc.own_uv import own_uv
from workers.builders.wheels import Wheel, wheels_of_pylock, wheels_of_report

Command = tuple[str, ...]

_ONLY_WHEELS = ("--only-binary", ":all:")
#: A program for an interpreter of any version, which may run as a user who cannot read the agent's files.
_RESOLVING_PIP = Path(__file__).with_name("resolving_pip.py").read_text("utf-8")


class Files(msgspec.Struct, frozen=True):
    """Where an installer finds what it is asked, and puts its answer.

    With ``one_index``, a package comes from the first index that has its name. That is uv's way, but for its setting.
    """

    requirements: Path
    constraints: Path
    answer: Path
    one_index: bool = False


class Installer(Protocol):
    """Makes environments and installs into them."""

    #: ``uv`` or ``pip``.
    name: str
    #: Whether resolving takes an environment that :meth:`create` made.
    resolves_inside: bool
    #: The name of the file with the answer to :meth:`resolve`.
    answer: str

    def create(self, target: Path) -> Command:
        """Return the command that makes an empty environment in the empty directory ``target``."""
        ...

    def install(self, target: Path, requirements: Path) -> Command:
        """Return the command that installs a file of requirements, and builds what has to be built."""
        ...

    def install_wheels(self, target: Path, requirements: Path) -> Command:
        """Return the command that installs a file of hashed wheels, and nothing else."""
        ...

    def resolve(self, files: Files, python: str) -> Command:
        """Return the command that says what requirements come to for the interpreter ``python``."""
        ...

    def wheels(self, answer: bytes) -> tuple[Wheel, ...]:
        """Return what the requirements came to; raises :class:`~workers.builders.wheels.NotShareable`."""
        ...


class Uv:
    """Installs with uv, at ``path``."""

    name = "uv"
    resolves_inside = False
    answer = "pylock.toml"

    def __init__(self, path: str, python: str, arguments: Command) -> None:
        self._path = path
        self._python = python
        self._arguments = arguments

    def create(self, target: Path) -> Command:
        """Return the command that makes an empty environment."""
        return self._path, "venv", "--no-config", "--python", self._python, "--allow-existing", str(target)

    def install(self, target: Path, requirements: Path) -> Command:
        """Return the command that installs a file of requirements, by the project's own settings for uv."""
        return *self._install(target), *self._arguments, "-r", str(requirements)

    def install_wheels(self, target: Path, requirements: Path) -> Command:
        """Return the command that installs a file of hashed wheels."""
        strict = ("--no-deps", "--require-hashes", *_ONLY_WHEELS)
        return *self._install(target), *self._arguments, *strict, "-r", str(requirements)

    def resolve(self, files: Files, python: str) -> Command:
        """Return the command that writes a ``pylock.toml`` (uv 0.6.15 and later)."""
        form = ("--quiet", "--format", "pylock.toml", "--no-header", "--no-annotate", *_ONLY_WHEELS)
        where = ("--python", python, "--output-file", str(files.answer), "-c", str(files.constraints))
        return self._path, "pip", "compile", *self._arguments, *form, *where, str(files.requirements)

    def wheels(self, answer: bytes) -> tuple[Wheel, ...]:
        """Return the wheels of a ``pylock.toml``."""
        return wheels_of_pylock(answer)

    def _install(self, target: Path) -> Command:
        return self._path, "pip", "install", "--python", str(target / "bin" / "python")


class Pip:
    """Installs with the pip that comes with ``python``."""

    name = "pip"
    resolves_inside = True
    answer = "report.json"

    def __init__(self, python: str, arguments: Command) -> None:
        self._python = python
        self._arguments = arguments

    def create(self, target: Path) -> Command:
        """Return the command that makes an environment with nothing but pip."""
        # -I: a project may have a logging.py of its own.
        return self._python, "-I", "-m", "venv", str(target)

    def install(self, target: Path, requirements: Path) -> Command:
        """Return the command that installs a file of requirements."""
        return *self._install(target), *self._arguments, "-r", str(requirements)

    def install_wheels(self, target: Path, requirements: Path) -> Command:
        """Return the command that installs a file of hashed wheels."""
        strict = ("--no-compile", "--no-deps", "--require-hashes", *_ONLY_WHEELS)
        return *self._install(target), *self._arguments, *strict, "-r", str(requirements)

    def resolve(self, files: Files, python: str) -> Command:
        """Return the command that writes a report (pip 22.2 and later)."""
        one_index = ("--one-index",) if files.one_index else ()
        guarded = (python, "-I", "-c", _RESOLVING_PIP, *one_index, "install", "--no-input")
        form = ("--quiet", "--dry-run", "--ignore-installed", *_ONLY_WHEELS)
        where = ("--report", str(files.answer), "-c", str(files.constraints), "-r", str(files.requirements))
        return *guarded, *self._arguments, *form, *where

    def wheels(self, answer: bytes) -> tuple[Wheel, ...]:
        """Return the wheels of a report."""
        return wheels_of_report(answer)

    def _install(self, target: Path) -> Command:
        return str(target / "bin" / "python"), "-I", "-m", "pip", "install", "--no-input"


def compile_command(python: str, target: Path) -> Command:
    """Return the command that compiles the modules in ``target``; without ``site`` it runs nothing of them."""
    return python, "-I", "-S", "-m", "compileall", "-q", "-j", "0", str(target / "lib")


def identify(python: str) -> tuple[str, int, int]:
    """Return what is the same as long as the interpreter ``python`` is; raises :class:`BuildError` without it."""
    try:
        found = Path(python).resolve(strict=True)
        status = found.stat()
    except OSError as error:
        raise BuildError(
            f"The interpreter {python} is not on this host.",
            hint="The administrator sets it in launchd.venv.python.",
        ) from error
    return str(found), status.st_size, status.st_mtime_ns


def find_installer(python: str, arguments: Command) -> Installer:
    """Return uv, where the extra `venv` brought it with the agent, else pip; another uv on the host changes nothing."""
    uv = own_uv()
    return Pip(python, arguments) if uv is None else Uv(uv, python, arguments)
