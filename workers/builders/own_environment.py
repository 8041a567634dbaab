"""An environment that is one job's alone: built as the job's user, in the project, with caches of its own."""

import os
from contextlib import suppress
from itertools import count
from pathlib import Path

from workers.builders.index_settings import all_settings
from workers.builders.installers import Installer
from workers.builders.requirements import Requirements
from workers.builders.tools import Workshop, build_error, give_directory, give_file, tool_environment
from workers.context import JobContext
from workers.sources import Project
from workers.subprocess_runner import ToolFailed

#: Directories of the agent's in the job's, each with what the job's user was given.
_PREFIX = "environment-"


def build_own(project: Project, requirements: Requirements, installer: Installer, context: JobContext) -> Path:
    """Build an environment for this job; return its path.

    Raises:
        BuildError: with the end of the output as ``detail``.
        JobCancelled: the job was stopped meanwhile.
    """
    context.progress(f"building an environment from {requirements.origin}")
    place = _new_place(context)
    target = give_directory(place / "venv", context.order.user)
    workshop = _workshop(place, project, context)
    try:
        workshop.run(installer.create(target))
        workshop.run(installer.install(target, _list(place, project, requirements, context)))
    except ToolFailed as error:
        raise build_error(requirements.origin, error) from error
    return target


def _new_place(context: JobContext) -> Path:
    """Make a directory next to what an earlier worker may have left, whose processes may still write there."""
    for number in count(1):
        place = context.directory / f"{_PREFIX}{number}"
        with suppress(FileExistsError):
            return give_directory(place, None)
    raise AssertionError("numbers do not end")


def _workshop(place: Path, project: Project, context: JobContext) -> Workshop:
    user = context.order.user
    settings = all_settings(os.environ) if context.order.venv.pass_index_settings or user is None else {}
    environment = tool_environment(user, settings)
    if user is not None:
        temporary = give_directory(place / "tmp", user, 0o700)
        cache = give_directory(place / "cache", user, 0o700)
        environment.update(TMPDIR=str(temporary), UV_CACHE_DIR=str(cache), PIP_NO_CACHE_DIR="1")
        environment.pop("UV_NO_CACHE", None)
    return Workshop(context, user, project.directory, environment)


def _list(place: Path, project: Project, requirements: Requirements, context: JobContext) -> Path:
    """Return a file with the requirements; those of ``pyproject.toml`` are written to a new one."""
    if requirements.text is None:
        return project.directory / requirements.origin
    # Not in the project, where a link made by its author might lead anywhere.
    return give_file(place / "requirements.txt", requirements.text, context.order.user)
