"""What a project asks to be installed, and everything its outcome depends on.

Reads files of an untrusted project; runs nothing.
"""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ipc.errors import BuildError

REQUIREMENTS_FILE = "requirements.txt"
PROJECT_FILE = "pyproject.toml"
FROZEN_FILE = "requirements.frozen.txt"

#: Files that change how uv installs the same requirements.
_TOOL_FILES = (PROJECT_FILE, "uv.toml")

_INCLUDE = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[\s=]*(?P<path>\S+)", re.MULTILINE)
_LOCAL = re.compile(r"^\s*(?:-e\b|--editable\b|\.|/|file:|(?:-f|--find-links)[\s=]*[^\s:]+$)|@\s*file:", re.MULTILINE)
_REQUIREMENT = re.compile(r"^\s*[^#\s]", re.MULTILINE)


class Requirements(msgspec.Struct, frozen=True):
    """One project's requirements.

    ``origin`` is the file they come from, ``text`` what a requirements file with
    them says, ``inputs`` the content of each file the outcome depends on, ``is_local``
    whether they name files of the project itself, so that no other project may share them.
    """

    origin: str
    text: str
    inputs: dict[str, str]
    is_local: bool


def find_requirements(project: Path) -> Requirements | None:
    """Return the requirements of ``project``: of the first file that has any, in the order of W&B's image builder.

    Raises:
        BuildError: ``pyproject.toml`` cannot be read.
    """
    for origin, text in _candidates(project):
        if _REQUIREMENT.search(text):
            inputs = {origin: text, **dict(_tool_settings(project)), **_included(project, text)}
            return Requirements(origin, text, inputs, any(map(_LOCAL.search, (text, *inputs.values()))))
    return None


def _candidates(project: Path) -> Iterator[tuple[str, str]]:
    yield REQUIREMENTS_FILE, _read(project / REQUIREMENTS_FILE)
    yield PROJECT_FILE, "\n".join(_project_dependencies(project / PROJECT_FILE))
    yield FROZEN_FILE, _read(project / FROZEN_FILE)


def _project_dependencies(path: Path) -> list[str]:
    """Return ``project.dependencies`` (PEP 621)."""
    try:
        dependencies = tomllib.loads(_read(path)).get("project", {}).get("dependencies", [])
        return msgspec.convert(dependencies, list[str])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, AttributeError) as error:
        raise BuildError(f"The project's {PROJECT_FILE} cannot be read: {error}.", hint="Correct it.") from error


def _tool_settings(project: Path) -> Iterator[tuple[str, str]]:
    for name in _TOOL_FILES:
        if text := _read(project / name):
            yield f"settings in {name}", text


def _included(project: Path, text: str) -> dict[str, str]:
    """Return the content of all files that ``text`` includes, directly or not."""
    found: dict[Path, str] = {}
    waiting = [(project, text)]
    while waiting:
        base, including = waiting.pop()
        for match in _INCLUDE.finditer(including):
            path = base / match["path"]
            if path not in found:
                found[path] = _read(path)
                waiting.append((path.parent, found[path]))
    return {os.path.relpath(path, project): content for path, content in found.items()}


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
