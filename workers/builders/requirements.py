"""What a project asks to be installed, and whether that can be asked without the project at hand.

Reads files of an untrusted project, in bounded time, and runs nothing. It knows the plain part of the language of
requirements files, and no more: a line outside of it is for the installer, in the project, as the job's user.
"""

import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ipc.errors import BuildError
from workers.builders.requirement_lines import Listing, NeedsProject, listed, logical_lines, names_indexes, read_text

REQUIREMENTS_FILE = "requirements.txt"
PROJECT_FILE = "pyproject.toml"
FROZEN_FILE = "requirements.frozen.txt"
#: Where requirements may stand.
FILES = (REQUIREMENTS_FILE, PROJECT_FILE, FROZEN_FILE)
UV_FILE = "uv.toml"

#: Beyond these sizes no project is asked for its requirements line by line.
MAX_FILE_BYTES = 1 << 20
MAX_FILES = 50

#: Keys of ``tool.uv`` that change nothing of what ``uv pip`` does. (``sources`` are for projects, not for lists.)
_UNIMPORTANT_UV_KEYS = frozenset(
    {
        "build-backend",
        "cache-keys",
        "conflicts",
        "default-groups",
        "dependency-groups",
        "dev-dependencies",
        "environments",
        "managed",
        "package",
        "required-environments",
        "sources",
        "workspace",
    }
)


class _HasSettings(NeedsProject):
    """The project has settings for uv."""


class Requirements(msgspec.Struct, frozen=True):
    """One project's requirements.

    ``origin`` is the file they come from. ``text`` is what a requirements file with them says, None where ``origin`` is
    one. ``listing`` is the same without the project, or None; then ``needs_project`` says why there is none, as a part
    of a sentence. ``names_indexes``: the lines, plain or not, name a package index or a page of links. With
    ``settings_for_uv``, the project has settings of its own for uv.
    """

    origin: str
    text: str | None = None
    listing: Listing | None = None
    needs_project: str = ""
    names_indexes: bool = False
    settings_for_uv: bool = False


def find_requirements(project: Path) -> Requirements | None:
    """Return the requirements of ``project``: of the first file that has any, in the order of W&B's image builder.

    Raises:
        BuildError: ``pyproject.toml`` cannot be read.
    """
    return next(filter(None, _candidates(project)), None)


def _candidates(project: Path) -> Iterator[Requirements | None]:
    yield _from_list(project, REQUIREMENTS_FILE)
    yield _from_project_file(project)
    yield _from_list(project, FROZEN_FILE)


def _from_list(project: Path, origin: str) -> Requirements | None:
    try:
        data = _read(project / origin)
        if data is None or not any(logical_lines(read_text(data, origin))):
            return None
    except NeedsProject as why:
        return Requirements(origin, needs_project=str(why))
    names = names_indexes(origin, data, _Includes(project).read)
    try:
        _look_for_settings(project)
        return Requirements(origin, listing=listed(origin, data, _Includes(project).read), names_indexes=names)
    except _HasSettings as why:
        return Requirements(origin, needs_project=str(why), names_indexes=names, settings_for_uv=True)
    except NeedsProject as why:
        return Requirements(origin, needs_project=str(why), names_indexes=names)


def _from_project_file(project: Path) -> Requirements | None:
    """Return ``project.dependencies`` (PEP 621)."""
    dependencies = _dependencies(project / PROJECT_FILE)
    if not dependencies:
        return None
    text = "".join(f"{dependency}\n" for dependency in dependencies)
    try:
        _look_for_settings(project)
        return Requirements(PROJECT_FILE, text, listed(PROJECT_FILE, text.encode(), _no_includes))
    except _HasSettings as why:
        return Requirements(PROJECT_FILE, text, needs_project=str(why), settings_for_uv=True)
    except NeedsProject as why:
        return Requirements(PROJECT_FILE, text, needs_project=str(why))


def _dependencies(path: Path) -> list[str]:
    try:
        return msgspec.convert(_parse(path).get("project", {}).get("dependencies", []), list[str])
    # A value of too many digits, or too deep, is none of the parser's own errors.
    except (ValueError, RecursionError, msgspec.ValidationError, AttributeError, NeedsProject) as error:
        raise BuildError(f"The project's {PROJECT_FILE} cannot be read: {error}.", hint="Correct it.") from error


def find_requires_python(project: Path) -> str | None:
    """Return ``requires-python`` of the project (PEP 621), None where it names none.

    Raises:
        BuildError: ``pyproject.toml`` cannot be read.
    """
    try:
        return msgspec.convert(_parse(project / PROJECT_FILE).get("project", {}).get("requires-python"), str | None)
    except (ValueError, RecursionError, msgspec.ValidationError, AttributeError, NeedsProject) as error:
        raise BuildError(f"The project's {PROJECT_FILE} cannot be read: {error}.", hint="Correct it.") from error


def _look_for_settings(project: Path) -> None:
    """Raise :class:`_HasSettings` where the project has settings of its own for uv."""
    if _read(project / UV_FILE) is not None:
        raise _HasSettings(f"the project has a {UV_FILE}")
    try:
        settings = _parse(project / PROJECT_FILE).get("tool", {}).get("uv", {})
        important = sorted(settings.keys() - _UNIMPORTANT_UV_KEYS)
    except (ValueError, RecursionError, AttributeError) as error:
        raise NeedsProject(f"{PROJECT_FILE} cannot be read") from error
    if important:
        raise _HasSettings(f"{PROJECT_FILE} has the setting tool.uv.{important[0]}")


def _parse(path: Path) -> dict[str, Any]:
    return tomllib.loads((_read(path) or b"").decode())


class _Includes:
    """The files that a list of requirements includes."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._left = MAX_FILES

    def read(self, name: str) -> bytes:
        """Return the content of the file ``name``, a path from the project; raises :class:`NeedsProject`."""
        self._left -= 1
        if self._left < 0:
            raise NeedsProject(f"more than {MAX_FILES} files of requirements are included")
        data = _read(self._project / name)
        if data is None:
            raise NeedsProject(f"{name} is included and is no file")
        return data


def _no_includes(name: str) -> bytes:
    raise NeedsProject(f"{name} is included from {PROJECT_FILE}")


def _read(path: Path) -> bytes | None:
    """Return the content of a regular file, None where there is none; raises :class:`NeedsProject`."""
    try:
        # What opens only while another process writes into it is no file either.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise NeedsProject(f"{path.name} cannot be opened") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise NeedsProject(f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MiB")
    return data
