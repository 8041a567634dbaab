"""Builds one frozen configuration from the file, the environment and the flags.

Owns the order of precedence: defaults, file, environment, flags. One error reports every problem.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ipc.messages import MAX_DIRECTORY_BYTES
from launchd.config import job_users, keys, pairs, schema
from launchd.config.diagnostics import DEFAULT, ConfigError, Diagnostics
from launchd.config.model import AgentConfig, LaunchdConfig
from launchd.config.policy import read_policy
from launchd.config.section_reader import fill
from launchd.config.yaml_file import YamlFile, read_yaml

FILE_NAME = "launch-config.yaml"

#: W&B's environment variables, and the setting that each of them sets.
VARIABLES = {
    "WANDB_ENTITY": "entity",
    "WANDB_LAUNCH_MAX_JOBS": "max_jobs",
    "WANDB_LAUNCH_START_TIMEOUT": "launchd.jobs.start_timeout_seconds",
    "WANDB_BASE_URL": "launchd.base_url",
}


FLAGS = {"queues": "--queue", "entity": "--entity", "max_jobs": "--max-jobs", "verbosity": "--verbose"}

#: Longest path of a unix socket in bytes (`sun_path`), without the zero at its end.
MAX_SOCKET_PATH = 107

#: What a job adds to the path of the state directory, at most: jobs/NAME.
JOB_PATH_BYTES = 100


#: State directory of the system service, which runs as root.
SYSTEM_STATE_DIR = "/var/lib/launch-agent"


class Flags(msgspec.Struct, frozen=True):
    """Settings from the command line; the default of a field means that its flag was not given."""

    queues: tuple[str, ...] = ()
    entity: str | None = None
    max_jobs: int | None = None
    verbosity: int = 0


class LoadedConfig(msgspec.Struct, frozen=True):
    """A configuration, the origin of each value by dotted name, the file it was read from, and warnings.

    ``derived`` has the origins of values that follow from another setting: a preset, or the rules for all queues.
    """

    config: AgentConfig
    origins: dict[str, str]
    path: Path | None
    warnings: tuple[str, ...]
    derived: dict[str, str] = {}

    @property
    def given(self) -> dict[str, str]:
        """Origins of the settings that are not defaults: `file:line`, a variable or a flag."""
        return {name: origin for name, origin in self.origins.items() if origin != DEFAULT}


def load(path: str | None, environ: Mapping[str, str], flags: Flags, *, queues_needed: bool = True) -> LoadedConfig:
    """Return the configuration of an agent from the file at `path`, else from the usual files.

    `queues_needed` is false for a command that takes no jobs: no queue has to be named then.

    Raises:
        ConfigError: the configuration cannot be used; it has every problem.
    """
    found = _find(path, environ)
    file = read_yaml(found) if found else YamlFile()
    values, locations = dict(file.values), dict(file.locations)
    for name, (value, origin) in (_from_environment(environ) | _from_flags(flags)).items():
        _overlay(values, name, value)
        locations[name] = origin
    if flags.queues:
        # Queues on the command line replace all of the file's; W&B's agent would add the file's `queue` to them.
        values.pop("queue", None)
    diagnostics = Diagnostics(locations, file.mistyped)
    for name in file.repeated:
        diagnostics.warn(name, "this stands there more than once; the last one counts.")
    config = _build(diagnostics, values, environ)
    place = f"the file {found or usual_files(environ)[0]}{'' if found else ' (there is none yet)'}"
    return _checked(diagnostics, config, found, place if queues_needed else None)


def likely_runtime_dir(path: str | None, environ: Mapping[str, str]) -> str:
    """Return the directory of the control socket of a configuration that cannot be used.

    It is what the file says of its directories, where these can be read at least, else the usual one.
    """
    found = _find(path, environ)
    try:
        section = read_yaml(found).values.get("launchd") if found else None
    except ConfigError:
        section = None
    values = fill(Diagnostics({}), "launchd.", section, keys.LAUNCHD, sections=keys.SECTIONS)
    return _directories(values, environ)[1]


def from_values(values: Mapping[str, Any], environ: Mapping[str, str]) -> LoadedConfig:
    """Return the configuration in `values`, keys of `launch-config.yaml`; variables of the environment do not count.

    `environ` gives the defaults of directories alone.

    Raises:
        ConfigError: the configuration cannot be used; it has every problem.
    """
    diagnostics = Diagnostics({})
    return _checked(diagnostics, _build(diagnostics, dict(values), environ), None, "the configuration")


def _checked(
    diagnostics: Diagnostics, config: AgentConfig, path: Path | None, queues_place: str | None
) -> LoadedConfig:
    """Return the configuration; ``queues_place`` is where queues have to be named, None where none is needed."""
    if (
        queues_place is not None
        and not config.queues
        and not (diagnostics.has_refused("queues") or diagnostics.has_refused("queue"))
    ):
        diagnostics.refuse("queues", None, "no queue is named", f"Name one in {queues_place}, or with --queue.")
    if diagnostics.problems:
        raise ConfigError(*diagnostics.mistyped, *diagnostics.problems)
    diagnostics.warnings += map(str, diagnostics.mistyped)
    return LoadedConfig(config, diagnostics.origins, path, tuple(diagnostics.warnings), diagnostics.derived)


def _find(path: str | None, environ: Mapping[str, str]) -> Path | None:
    named = path or environ.get("LAUNCHD_CONFIG")
    if named:
        return Path(named)
    return next((candidate for candidate in usual_files(environ) if os.path.lexists(candidate)), None)


def usual_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that are looked for where none is named, in this order."""
    home = Path(environ.get("HOME") or "/")
    return home / ".config" / "wandb" / FILE_NAME, Path("/etc/launch-agent") / FILE_NAME


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    return {name: (environ[variable], f"${variable}") for variable, name in VARIABLES.items() if environ.get(variable)}


def _from_flags(flags: Flags) -> dict[str, tuple[Any, str]]:
    values = {"queues": list(flags.queues) or None, "entity": flags.entity, "max_jobs": flags.max_jobs}
    values["verbosity"] = flags.verbosity or None
    return {name: (value, FLAGS[name]) for name, value in values.items() if value is not None}


def _overlay(values: dict[str, Any], name: str, value: Any) -> None:
    """Set the value at a dotted name in place of the file's; where a parent is no mapping, that is reported later."""
    *parents, key = name.split(".")
    section = values
    for parent in parents:
        inner = section.get(parent)
        if not isinstance(inner, dict | None):
            return
        section[parent] = dict(inner or {})
        section = section[parent]
    section[key] = value


def _build(diagnostics: Diagnostics, values: dict[str, Any], environ: Mapping[str, str]) -> AgentConfig:
    top = fill(diagnostics, "", values, keys.TOP, sections=("builder", "registry", "environment", "launchd"))
    # W&B's loader means to accept the singular key, and its check then refuses it.
    singular = top.pop("queue", None)
    queues = (*top.pop("queues", ()), *((singular,) if singular else ()))
    settings = _launchd_section(diagnostics, values.get("launchd"), environ)
    for queue in settings.policy.queues:
        if queue not in queues:
            diagnostics.warn(
                f"launchd.policy.queues.{queue}", "this agent does not serve the queue: its rules have no effect."
            )
    config = AgentConfig(
        **top,
        queues=tuple(dict.fromkeys(queues)),
        builder=schema.builder(diagnostics, values.get("builder")),
        registry=schema.registry(diagnostics, values.get("registry")),
        environment=schema.environment(diagnostics, values.get("environment")),
        launchd=settings,
    )
    job_users.check_range_sizes(diagnostics, config)
    job_users.check_install_user(diagnostics, config)
    job_users.check_builder_users(diagnostics, config)
    pairs.check(diagnostics, config, environ)
    return config


def _launchd_section(diagnostics: Diagnostics, section: Any, environ: Mapping[str, str]) -> LaunchdConfig:
    values = fill(diagnostics, "launchd.", section, keys.LAUNCHD, sections=keys.SECTIONS)
    sections = section if isinstance(section, dict) else {}
    state_dir, runtime_dir = _directories(values, environ)
    if len(os.fsencode(f"{runtime_dir}/control.sock")) > MAX_SOCKET_PATH:
        diagnostics.refuse("launchd.runtime_dir", runtime_dir, "is too long a path to hold the control socket")
    if not _has_room_for_jobs(state_dir):
        diagnostics.refuse(
            "launchd.state_dir", state_dir, "is too long a path, or no text, to hold the jobs' directories"
        )
    return LaunchdConfig(
        **values,
        state_dir=state_dir,
        runtime_dir=runtime_dir,
        jobs=schema.jobs(diagnostics, sections.get("jobs")),
        venv=schema.venv(diagnostics, sections.get("venv")),
        docker=schema.docker(diagnostics, sections.get("docker")),
        kubernetes=schema.kubernetes(diagnostics, sections.get("kubernetes")),
        vertex=schema.vertex(diagnostics, sections.get("vertex")),
        registry=schema.registry_access(diagnostics, sections.get("registry")),
        buildah=schema.buildah(diagnostics, sections.get("buildah")),
        aws=schema.aws(diagnostics, sections.get("aws")),
        policy=read_policy(diagnostics, sections.get("policy")),
        supervision=schema.supervision(diagnostics, sections.get("supervision")),
        gpus=schema.gpus(diagnostics, sections.get("gpus")),
        history=schema.history(diagnostics, sections.get("history")),
        hooks=schema.hooks(diagnostics, sections.get("hooks")),
        metrics=schema.metrics(diagnostics, sections.get("metrics")),
    )


def _directories(values: dict[str, Any], environ: Mapping[str, str]) -> tuple[str, str]:
    """Take the directories of state and control socket out of the settings below `launchd`."""
    state_dir = values.pop("state_dir", None) or default_state_dir(environ)
    return state_dir, values.pop("runtime_dir", None) or default_runtime_dir(environ, state_dir)


def _has_room_for_jobs(state_dir: str) -> bool:
    """Return whether the path of a job's directory fits into a message to a worker."""
    try:
        return len(msgspec.json.encode(state_dir)) + JOB_PATH_BYTES <= MAX_DIRECTORY_BYTES
    except UnicodeEncodeError:
        return False


def default_state_dir(environ: Mapping[str, str]) -> str:
    """Return the state directory of an agent by default: the system's for root, one of the user's for others."""
    if os.geteuid() == 0:
        return SYSTEM_STATE_DIR
    home = environ.get("HOME") or "/"
    return str(Path(environ.get("XDG_STATE_HOME") or Path(home, ".local", "state")) / "launchd")


def default_runtime_dir(environ: Mapping[str, str], state_dir: str) -> str:
    """Return the directory of an agent's control socket by default."""
    if os.geteuid() == 0 and state_dir == default_state_dir(environ):
        return "/run/launch-agent"
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and state_dir == default_state_dir(environ):
        return str(Path(runtime) / "launchd")
    return str(Path(state_dir) / "run")
