"""An environment that is one job's alone: built as the job's user, in the project, with a cache of its own."""

import os
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

import msgspec

from ipc.errors import BuildError
from workers.builders.index_files import configured_indexes
from workers.builders.index_order import ALL_ARE_ONE, IndexOrder, in_order_for_uv, names_any
from workers.builders.index_settings import all_settings, index_settings
from workers.builders.installers import Installer
from workers.builders.requirements import Requirements
from workers.builders.tools import Workshop, build_error, give_directory, give_file, tool_environment
from workers.confined.directories import remove_directory
from workers.context import JobContext
from workers.git_environment import git_settings, own_credentials
from workers.subprocess_runner import ToolFailed

#: In the job's directory; a number follows, as an earlier worker may have begun one, and its tools may still write.
_PREFIX = "environment-"
_LIST_NAME = "requirements.txt"
_PRIVATE = 0o700


def build_own(directory: Path, requirements: Requirements, installer: Installer, context: JobContext, why: str) -> Path:
    """Build an environment for this job from the requirements of ``directory``; return its path.

    ``why`` there is no shared one is a part of a sentence.

    Raises:
        BuildError: with the end of the output as ``detail``.
        JobCancelled: the job was stopped meanwhile.
    """
    context.progress(f"building an environment from {requirements.origin}")
    target = _new_directory(context)
    workshop = _workshop(target, directory, context)
    choice = _choice_of_indexes(workshop.environment, requirements, installer, context, why)
    workshop = msgspec.structs.replace(workshop, environment={**workshop.environment, **choice})
    try:
        workshop.run(installer.create(target))
        workshop.run(installer.install(target, _list(directory, requirements, context)))
    except ToolFailed as error:
        raise build_error(requirements.origin, error) from error
    return target


def remove_own(context: JobContext) -> None:
    """Remove the job's environments, as the user who owns them: a job that is over is kept for a while without them."""
    for path in context.directory.glob(f"{_PREFIX}*/"):
        remove_directory(path, lambda problem: context.warn(problem, "run"))


def _new_directory(context: JobContext) -> Path:
    for number in count(1):
        with suppress(FileExistsError):
            return give_directory(context.directory / f"{_PREFIX}{number}", context.order.user, _PRIVATE)
    raise AssertionError("numbers do not end")


def _choice_of_indexes(
    environment: Mapping[str, str], requirements: Requirements, installer: Installer, context: JobContext, why: str
) -> dict[str, str]:
    """Return settings with which the tool chooses among indexes as it does for a shared environment.

    Raises:
        BuildError: it has no such settings.
    """
    arguments = context.order.venv.pip_args
    named = index_settings(environment, installer.name).lines
    host = (*named, *configured_indexes(installer.name, environment, arguments))
    if requirements.settings_for_uv and installer.name == "uv":
        # Among them is how to choose.
        return {}
    if not (names_any(host) and requirements.names_indexes):
        return ALL_ARE_ONE | dict(environment)
    if installer.name == "pip":
        raise BuildError(
            "This host and the project both name package indexes. The environment cannot be a shared one, because"
            f" {why.rstrip('.')}; and in one of the job's own, pip would take a package from any of them.",
            hint="Correct that, or name no index; or the administrator installs the extra `venv`, whose uv takes a"
            " package from the first index that has its name.",
        )
    context.warn(IndexOrder((), is_mixed=True, has_links=True).note or "", "build")
    return {"UV_INDEX": in_order_for_uv(host)}


def _workshop(target: Path, directory: Path, context: JobContext) -> Workshop:
    user = context.order.user
    # Where the job's user is the agent's own, it could read them anyway.
    trusts = context.order.venv.pass_index_settings or user is None
    environment = tool_environment(user, all_settings(os.environ) if trusts else {}, proxy_passwords=trusts)
    # Requirements name repositories too.
    environment.update(git_settings(context.order.policy, os.environ))
    if user is None:
        environment.update(own_credentials(os.environ))
    else:
        # Beside the environment, so that uv makes links instead of copies.
        cache = give_directory(target.with_name(f"{target.name}-cache"), user, _PRIVATE)
        environment.update(UV_CACHE_DIR=str(cache), PIP_NO_CACHE_DIR="1")
        environment.pop("UV_NO_CACHE", None)
    return Workshop(context, user, directory, environment)


def _list(directory: Path, requirements: Requirements, context: JobContext) -> Path:
    """Return a file with the requirements; those of ``pyproject.toml`` are written to a new one."""
    if requirements.text is None:
        return directory / requirements.origin
    # Not in the project, where a link made by its author might lead anywhere.
    return give_file(context.directory / _LIST_NAME, requirements.text, context.order.user)
