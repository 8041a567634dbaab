"""Builds a run spec, W&B's JSON, from the arguments of `launch` and `launch_add`. It reads the disk alone.

Owns which argument becomes which key, and which of them exclude each other. An argument wins over `config`. The keys of
a run spec in `config` are the spec's, and all others are the run's configuration: W&B's documentation can be read as
either.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ipc.run_spec import CODE_URI_PREFIX
from launchd.api.coerce import as_mapping
from launchd.api.errors import LaunchError, translate_errors
from launchd.api.sources import checked_resource, has_default_script, is_repository
from launchd.client.job_file import parse_job_name

#: The keys of a run spec that a submitter may set (W&B's launch spec).
SPEC_KEYS = frozenset(
    {
        *("uri", "job", "docker", "image_uri", "git", "additional_services"),
        *("entity", "project", "name", "author", "run_id", "sweep_id", "_resume_count"),
        *("resource", "resource_args", "overrides", "template_variables", "priority", "queue_entity"),
        *("registry", "builder", "python_version"),
    }
)

#: Keys of `launch`'s `config` that configure the agent, not the run.
AGENT_KEYS = frozenset({"builder", "registry", "environment", "launchd"})

#: W&B's clients set such a `uri` where there is no source to fetch, as for a sweep scheduler.
_PLACEHOLDER_URI_PREFIX = "placeholder"

#: Keys of a run spec that are text, with the characters that W&B's client refuses in each.
_RESERVED_CHARACTERS = {
    "name": "",
    "run_id": ":;,#?/'",
    "project": "/\\#?%:",
    "entity": "",
    "sweep_id": "",
    "author": "",
}


class LaunchArgs(msgspec.Struct, frozen=True, kw_only=True):
    """The common arguments of `launch` and `launch_add`."""

    uri: str | None = None
    job: str | None = None
    docker_image: str | None = None
    config: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] | None = None
    project: str | None = None
    entity: str | None = None
    resource: str | None = None
    resource_args: Mapping[str, Any] | None = None
    entry_point: Sequence[str] | None = None
    name: str | None = None
    version: str | None = None
    run_id: str | None = None
    repository: str | None = None
    sweep_id: str | None = None
    author: str | None = None


class SpecDraft(msgspec.Struct, frozen=True):
    """A run spec; it lacks the code artifact of ``directory``, if there is one, which has to be uploaded."""

    spec: dict[str, Any]
    directory: Path | None = None


@translate_errors()
def draft_spec(args: LaunchArgs, entity: str, project: str) -> SpecDraft:
    """Return the run spec for ``args``; ``entity`` and ``project`` are the defaults.

    Raises:
        LaunchError: there is no source or command, or more than one, or an argument is wrong or would have no effect.
    """
    spec = _from_config(as_mapping(args.config, "config"))
    _set(spec, "uri", args.uri)
    _set(spec, "job", args.job)
    for key in ("name", "run_id", "sweep_id", "author", "resource", "entity", "project"):
        _set(spec, key, getattr(args, key))
    if args.resource_args is not None:
        spec["resource_args"] = as_mapping(args.resource_args, "resource_args")
    if args.docker_image:
        spec["docker"] = as_mapping(spec.get("docker"), "config['docker']") | {"docker_image": args.docker_image}
    if args.repository:
        spec["registry"] = as_mapping(spec.get("registry"), "config['registry']") | {"url": args.repository}
    if spec.get("resource") is not None:
        checked_resource(spec["resource"])
    spec["overrides"] = _overrides(spec, args)
    directory = _set_source(spec, args.version)
    _complete_names(spec, entity, project)
    _check_names(spec)
    return SpecDraft(spec, directory)


def _from_config(config: Mapping[str, Any]) -> dict[str, Any]:
    spec = {key: value for key, value in config.items() if key in SPEC_KEYS and value is not None}
    run_config = {key: value for key, value in config.items() if key not in SPEC_KEYS | AGENT_KEYS}
    if run_config:
        overrides = as_mapping(spec.get("overrides"), "config['overrides']")
        given = as_mapping(overrides.get("run_config"), "config['overrides']['run_config']")
        overrides["run_config"] = run_config | given
        spec["overrides"] = overrides
    return spec


def _set(spec: dict[str, Any], key: str, value: object) -> None:
    if value is not None:
        spec[key] = value


def _overrides(spec: Mapping[str, Any], args: LaunchArgs) -> dict[str, Any]:
    overrides = as_mapping(spec.get("overrides"), "config['overrides']")
    if args.entry_point is not None:
        overrides["entry_point"] = _string_list(args.entry_point, "entry_point")
    if overrides.get("args") is not None:
        overrides["args"] = _string_list(overrides["args"], "config['overrides']['args']")
    if args.parameters:
        run_config = as_mapping(overrides.get("run_config"), "config['overrides']['run_config']")
        overrides["run_config"] = run_config | as_mapping(args.parameters, "parameters")
    return overrides


def _string_list(value: Sequence[str], what: str) -> list[str]:
    if isinstance(value, str) or not all(isinstance(item, str) for item in value):
        raise LaunchError(f"{what} is a list of words, as in ['python', 'train.py'], not {value!r}.")
    return list(value)


# -- the source


def _set_source(spec: dict[str, Any], version: str | None) -> Path | None:
    """Check that there is one source or a command; returns the directory where the source is one of this machine."""
    directory = _set_uri(spec)
    sources = _sources(spec)
    if directory is not None:
        sources.append("uri")
    if len(sources) > 1:
        raise LaunchError(f"Give one of uri, job and docker_image, not {' and '.join(sources)}.")
    if not sources and not spec["overrides"].get("entry_point"):
        raise LaunchError("Say what to run: a job, a docker_image, a uri, or a command as entry_point.")
    if directory is not None:
        _require_command(spec["overrides"], directory)
    if version is not None:
        _set_version(spec, version)
    return directory


def _set_uri(spec: dict[str, Any]) -> Path | None:
    uri = str(spec.get("uri") or "")
    if not uri or uri.startswith((CODE_URI_PREFIX, _PLACEHOLDER_URI_PREFIX)):
        return None
    del spec["uri"]
    if is_repository(uri):
        spec["git"] = {**as_mapping(spec.get("git"), "config['git']"), "repo": uri}
        return None
    if not Path(uri).is_dir():
        raise LaunchError(f"{uri!r} is neither a directory nor the URL of a git repository.")
    return Path(uri)


def image_of(spec: Mapping[str, Any]) -> str | None:
    """Return the image of a run spec, ``None`` or empty where it has none."""
    image: str | None = as_mapping(spec.get("docker"), "config['docker']").get("docker_image")
    return image or spec.get("image_uri")


def _sources(spec: Mapping[str, Any]) -> list[str]:
    found = {
        "job": spec.get("job"),
        "docker_image": image_of(spec),
        "uri": spec.get("uri") or as_mapping(spec.get("git"), "config['git']").get("repo"),
    }
    return [name for name, value in found.items() if value]


def _require_command(overrides: Mapping[str, Any], directory: Path) -> None:
    if not overrides.get("entry_point") and not has_default_script(directory):
        raise LaunchError(f"{directory} has no main.py: say what to run, as in entry_point=['python', 'train.py'].")


def _set_version(spec: dict[str, Any], version: str) -> None:
    git = as_mapping(spec.get("git"), "config['git']")
    if not git.get("repo") and not spec.get("job"):
        raise LaunchError("version is a branch, tag or commit of a git repository, and this job has none.")
    if version.startswith("-") or not version:
        raise LaunchError(f"{version!r} is not a branch, tag or commit.")
    spec["git"] = git | {"version": version}


# -- names


def _complete_names(spec: dict[str, Any], entity: str, project: str) -> None:
    spec["entity"] = spec.get("entity") or entity
    job = spec.get("job")
    if job:
        name = parse_job_name(str(job), spec["entity"], spec.get("project") or project)
        spec["job"], spec["project"] = str(name), spec.get("project") or name.project
    spec["project"] = spec.get("project") or project


def _check_names(spec: Mapping[str, Any]) -> None:
    for key, reserved in _RESERVED_CHARACTERS.items():
        name = spec.get(key)
        if name is not None and not isinstance(name, str):
            raise LaunchError(f"{key} is text, not {name!r}.")
        found = [character for character in reserved if character in (name or "")]
        if found:
            raise LaunchError(f"{key} {name!r} has the character {found[0]!r}, which W&B's client does not take.")
