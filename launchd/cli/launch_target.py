"""The target of `launchd launch`, and its run spec. It reads the disk, and asks no server."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from ipc.own_args import MAX_RUNTIME, SECTION
from launchd.api.sources import DEFAULT_SCRIPT, has_default_script, is_repository

#: A configuration with one of these keys is W&B's launch config; any other is the run's configuration.
LAUNCH_CONFIG_KEYS = frozenset({"overrides", "resource", "resource_args"})

#: What no name of a program has, and a line for a shell has.
_FOR_A_SHELL = re.compile(r"\s(&&|\|\|?|;|>>?|<)\s|;\s|^\S+ .*\S")

#: A run spec with one of these keys has a source of its own.
_SOURCE_KEYS = frozenset({"job", "docker", "image_uri", "git", "uri"})


class Target(msgspec.Struct, frozen=True):
    """The source to launch: ``directory``, ``repository`` or neither; ``entry_point`` is the command to run.

    It runs in ``build_context``, a directory of the source, where that is named.
    """

    directory: Path | None = None
    repository: str | None = None
    version: str | None = None
    entry_point: tuple[str, ...] = ()
    build_context: str | None = None


def find_target(name: str | None, version: str | None, entry_point: tuple[str, ...]) -> Target:
    """Return the target ``name``: a git repository, a directory of this machine, or, for ``None``, a command alone.

    Raises:
        click.UsageError: it is neither.
    """
    if version is not None and version.startswith("-"):
        raise click.UsageError(f"{version!r} is not a branch, tag or commit: it starts with a dash.")
    if name is not None and is_repository(name):
        return Target(repository=name, version=version, entry_point=entry_point)
    if version is not None:
        raise click.UsageError("--git-version needs the URL of a git repository.")
    if name is None:
        return Target(entry_point=entry_point)
    directory = Path(name)
    if not name or not directory.is_dir():
        raise click.UsageError(_no_target(name, directory))
    return Target(directory=directory, entry_point=entry_point)


def _no_target(name: str, path: Path) -> str:
    if name and path.is_file():
        command = f"python {shlex.quote(path.name)}" if path.suffix == ".py" else shlex.quote(f"./{path.name}")
        return (
            f"{name!r} is a file. Launch its directory, and say what to run there:"
            f" launchd launch {shlex.quote(str(path.parent))} -E {shlex.quote(command)}"
        )
    neither = f"{name!r} is neither a directory nor the URL of a git repository."
    return f"{neither} For a command, write: launchd launch -- {name}"


def check_command(command: tuple[str, ...]) -> None:
    """Raise :class:`click.UsageError` for a command of one word that only a shell understands."""
    if len(command) == 1 and _FOR_A_SHELL.search(command[0]) and not Path(command[0]).exists():
        raise click.UsageError(
            f"{command[0]!r} is one word, the name of a program. For a line of a shell, write:"
            f" launchd launch -- sh -c {shlex.quote(command[0])}"
        )


def build_run_spec(target: Target, config: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run spec without the artifact of a directory; ``flags`` are its keys that the command line sets.

    Raises:
        click.UsageError: there is no source or command, or the configuration's ``overrides`` are no object.
    """
    base = dict(config) if LAUNCH_CONFIG_KEYS & config.keys() else {"overrides": {"run_config": dict(config)}}
    spec = base | {key: value for key, value in flags.items() if value is not None}
    if target.repository is not None:
        spec["git"] = {"repo": target.repository, "version": target.version}
    overrides = _object(spec.get("overrides"), "overrides")
    if target.entry_point:
        overrides["entry_point"] = list(target.entry_point)
    if not overrides.get("entry_point"):
        _require_source(target, spec)
    return spec | {"overrides": overrides}


def with_time_limit(spec: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Return the resource args of ``spec``, whose resource is known, with the limit of a job's running time.

    Raises:
        click.UsageError: those in the configuration are no objects.
    """
    args = _object(spec.get("resource_args"), "resource_args")
    of_resource = _object(args.get(spec["resource"]), f"resource_args.{spec['resource']}")
    own = _object(of_resource.get(SECTION), f"resource_args.{spec['resource']}.{SECTION}")
    return args | {spec["resource"]: of_resource | {SECTION: own | {MAX_RUNTIME: seconds}}}


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict | None):
        raise click.UsageError(f"{what} in --config must be a JSON object, not {json.dumps(value)}.")
    return dict(value or {})


def within(target: Target, build_context: str | None) -> Target:
    """Return a target whose command runs in ``build_context``, a directory of its own.

    Raises:
        click.UsageError: a local directory has no such one.
    """
    if target.directory is not None and build_context:
        place = (target.directory / build_context).resolve()
        if not place.is_dir() or not place.is_relative_to(target.directory.resolve()):
            raise click.UsageError(f"{target.directory} has no directory {build_context!r}, which -b names.")
    return msgspec.structs.replace(target, build_context=build_context)


def _require_source(target: Target, spec: Mapping[str, Any]) -> None:
    if target.directory is not None:
        place = target.directory / (target.build_context or "")
        if not has_default_script(place):
            problem = f"{place} has no {DEFAULT_SCRIPT}: say what to run, as in -E 'python train.py'."
            raise click.UsageError(problem)
    elif not _SOURCE_KEYS & spec.keys():
        raise click.UsageError("Say what to launch: a directory, the URL of a git repository, or a command after --.")
