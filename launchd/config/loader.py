"""From file, environment and flags to one frozen configuration.

Owns the order of precedence: defaults, file, environment, flags. What is wrong anywhere is told in one error.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from launchd.config import schema
from launchd.config.diagnostics import DEFAULT, ConfigError, Diagnostics
from launchd.config.document import Document, read_document
from launchd.config.model import AgentConfig, LaunchdConfig

FILE_NAME = "launch-config.yaml"

#: W&B's variables, and one of its own that our file can say better.
VARIABLES = {
    "WANDB_ENTITY": "entity",
    "WANDB_LAUNCH_MAX_JOBS": "max_jobs",
    "WANDB_LAUNCH_START_TIMEOUT": "launchd.jobs.start_timeout_seconds",
    "WANDB_BASE_URL": "launchd.base_url",
}


FLAGS = {"queues": "--queue", "entity": "--entity", "max_jobs": "--max-jobs", "verbosity": "--verbose"}

#: Longest path of a unix socket (`sun_path`), without the zero at its end.
MAX_SOCKET_PATH = 107


#: Where root's agent, which the system service is, keeps its state.
SYSTEM_STATE_DIR = "/var/lib/launch-agent"


class Flags(msgspec.Struct, frozen=True):
    """What the command line said; nothing, where it said nothing."""

    queues: tuple[str, ...] = ()
    entity: str | None = None
    max_jobs: int | None = None
    verbosity: int = 0


class LoadedConfig(msgspec.Struct, frozen=True):
    """A configuration, where each value came from, the file it was read from, and what deserves a look."""

    config: AgentConfig
    origins: dict[str, str]
    path: Path | None
    warnings: tuple[str, ...]

    @property
    def given(self) -> dict[str, str]:
        """Where each setting stands that somebody gave: a line of the file, a variable or a flag."""
        return {name: place for name, place in self.origins.items() if place != DEFAULT}


def load(path: str | None, environ: Mapping[str, str], flags: Flags, *, queues_needed: bool = True) -> LoadedConfig:
    """Return the configuration of an agent. Only a command that takes no jobs can do without `queues_needed`.

    Raises:
        ConfigError: with every problem there is.
    """
    found = _find(path, environ)
    document = read_document(found) if found else Document()
    values, places = dict(document.values), dict(document.places)
    for name, (value, place) in (_from_environment(environ) | _from_flags(flags)).items():
        _overlay(values, name, value)
        places[name] = place
    if flags.queues:
        # A list on the command line stands for all queues; W&B's agent would add the file's `queue` to it.
        values.pop("queue", None)
    report = Diagnostics(places)
    for name in document.repeated:
        report.warn(name, "this stands there more than once; the last one counts.")
    config = _build(report, values, environ)
    return _checked(report, config, found, queues_needed)


def from_values(values: Mapping[str, Any], environ: Mapping[str, str]) -> LoadedConfig:
    """Return the configuration in `values`, a document that stands in no file; no variable or flag is laid over it.

    Raises:
        ConfigError: with every problem there is.
    """
    report = Diagnostics({})
    return _checked(report, _build(report, dict(values), environ), None, queues_needed=True)


def _checked(report: Diagnostics, config: AgentConfig, path: Path | None, queues_needed: bool) -> LoadedConfig:
    if queues_needed and not config.queues and not (report.has_refused("queues") or report.has_refused("queue")):
        report.refuse("queues", None, "no queue is named", "Name one in the file, or with --queue.")
    if report.problems:
        raise ConfigError(*report.problems)
    return LoadedConfig(config, report.origins, path, tuple(report.warnings))


def _find(path: str | None, environ: Mapping[str, str]) -> Path | None:
    named = path or environ.get("LAUNCHD_CONFIG")
    if named:
        return Path(named)
    home = Path(environ.get("HOME") or "/")
    usual = (home / ".config" / "wandb" / FILE_NAME, Path("/etc/launch-agent") / FILE_NAME)
    return next((candidate for candidate in usual if os.path.lexists(candidate)), None)


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    return {name: (environ[variable], f"${variable}") for variable, name in VARIABLES.items() if environ.get(variable)}


def _from_flags(flags: Flags) -> dict[str, tuple[Any, str]]:
    said = {"queues": list(flags.queues) or None, "entity": flags.entity, "max_jobs": flags.max_jobs}
    said["verbosity"] = flags.verbosity or None
    return {name: (value, FLAGS[name]) for name, value in said.items() if value is not None}


def _overlay(values: dict[str, Any], name: str, value: Any) -> None:
    """Put a value over that of the file; what stands in its way is left, and reported as no mapping."""
    *parents, key = name.split(".")
    block = values
    for parent in parents:
        inner = block.get(parent)
        if not isinstance(inner, dict | None):
            return
        block[parent] = dict(inner or {})
        block = block[parent]
    block[key] = value


def _build(report: Diagnostics, values: dict[str, Any], environ: Mapping[str, str]) -> AgentConfig:
    top = schema.fill(report, "", values, schema.TOP, blocks=("builder", "registry", "environment", "launchd"))
    # W&B's loader means to accept the singular key, and its check then refuses it.
    singular = top.pop("queue", None)
    named = (*top.pop("queues", ()), *((singular,) if singular else ()))
    ours = _launchd_block(report, values.get("launchd"), environ)
    for queue in ours.policy.queues:
        if queue not in named:
            report.warn(
                f"launchd.policy.queues.{queue}", "this agent does not serve the queue: its rules have no effect."
            )
    return AgentConfig(
        **top,
        queues=tuple(dict.fromkeys(named)),
        builder=schema.builder(report, values.get("builder")),
        registry=schema.registry(report, values.get("registry")),
        environment=schema.environment(report, values.get("environment")),
        launchd=ours,
    )


def _launchd_block(report: Diagnostics, block: Any, environ: Mapping[str, str]) -> LaunchdConfig:
    values = schema.fill(report, "launchd.", block, schema.LAUNCHD, blocks=schema.SECTIONS)
    sections = block if isinstance(block, dict) else {}
    state_dir = values.pop("state_dir", None) or default_state_dir(environ)
    runtime_dir = values.pop("runtime_dir", None) or default_runtime_dir(environ, state_dir)
    if len(os.fsencode(f"{runtime_dir}/control.sock")) > MAX_SOCKET_PATH:
        report.refuse("launchd.runtime_dir", runtime_dir, "is too long a path to hold the control socket")
    return LaunchdConfig(
        **values,
        state_dir=state_dir,
        runtime_dir=runtime_dir,
        jobs=schema.jobs(report, sections.get("jobs")),
        venv=schema.venv(report, sections.get("venv")),
        policy=schema.policy(report, sections.get("policy")),
        supervision=schema.supervision(report, sections.get("supervision")),
    )


def default_state_dir(environ: Mapping[str, str]) -> str:
    """Where an agent keeps its state when nobody says otherwise: the system's place for root, the user's for others."""
    if os.geteuid() == 0:
        return SYSTEM_STATE_DIR
    home = environ.get("HOME") or "/"
    return str(Path(environ.get("XDG_STATE_HOME") or Path(home, ".local", "state")) / "launchd")


def default_runtime_dir(environ: Mapping[str, str], state_dir: str) -> str:
    """Where an agent's control socket lies when nobody says otherwise."""
    if os.geteuid() == 0 and state_dir == default_state_dir(environ):
        return "/run/launch-agent"
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and state_dir == default_state_dir(environ):
        return str(Path(runtime) / "launchd")
    return str(Path(state_dir) / "run")
