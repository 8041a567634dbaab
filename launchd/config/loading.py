"""From file, environment and flags to one frozen configuration.

Owns the order of precedence: defaults, file, environment, flags. What is wrong anywhere is told in one error.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from launchd.config import blocks
from launchd.config.document import read_document
from launchd.config.model import AgentConfig, LaunchdConfig
from launchd.config.problems import ConfigError, Problem, Report

FILE_NAME = "launch-config.yaml"

SECTIONS = ("jobs", "venv", "policy", "supervision")

#: W&B's variables, and one of its own that our file can say better.
VARIABLES = {
    "WANDB_ENTITY": "entity",
    "WANDB_LAUNCH_MAX_JOBS": "max_jobs",
    "WANDB_LAUNCH_START_TIMEOUT": "launchd.jobs.start_timeout_seconds",
    "WANDB_BASE_URL": "launchd.base_url",
}


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


def load(path: str | None, environ: Mapping[str, str], flags: Flags) -> LoadedConfig:
    """Return the configuration of an agent.

    Raises:
        ConfigError: with every problem there is.
    """
    found = _find(path, environ)
    values, places = read_document(found) if found else ({}, {})
    _overlay(values, places, _from_environment(environ) | _from_flags(flags))
    report = Report(places)
    config = _build(report, values, environ)
    if report.problems:
        raise ConfigError(*report.problems)
    return LoadedConfig(config, report.origins, found, tuple(report.warnings))


def _find(path: str | None, environ: Mapping[str, str]) -> Path | None:
    named = path or environ.get("LAUNCHD_CONFIG")
    if named:
        if not Path(named).is_file():
            raise ConfigError(Problem(named, "", "there is no such configuration file"))
        return Path(named)
    home = Path(environ.get("HOME") or "/")
    usual = (home / ".config" / "wandb" / FILE_NAME, Path("/etc/launch-agent") / FILE_NAME)
    return next((candidate for candidate in usual if candidate.is_file()), None)


def _from_environment(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    return {name: (environ[variable], f"${variable}") for variable, name in VARIABLES.items() if environ.get(variable)}


def _from_flags(flags: Flags) -> dict[str, tuple[Any, str]]:
    said = {"queues": list(flags.queues), "entity": flags.entity, "verbosity": flags.verbosity}
    given = {name: value for name, value in said.items() if value}
    if flags.max_jobs is not None:
        given["max_jobs"] = flags.max_jobs
    return {name: (value, f"--{name.replace('_', '-')}") for name, value in given.items()}


def _overlay(values: dict[str, Any], places: dict[str, str], layer: Mapping[str, tuple[Any, str]]) -> None:
    for name, (value, place) in layer.items():
        *parents, key = name.split(".")
        block = values
        for parent in parents:
            inner = block.get(parent)
            block[parent] = block = {} if inner is None else inner
            if not isinstance(block, dict):
                return  # It is reported as no mapping.
        block[key] = value
        places[name] = place
        if name == "queues":
            # A list on the command line stands for all queues; W&B's agent would add the file's `queue` to it.
            values.pop("queue", None)


def _build(report: Report, values: dict[str, Any], environ: Mapping[str, str]) -> AgentConfig:
    top = blocks.fill(
        report, "", values, blocks.ENTITY_AND_QUEUES, blocks=("builder", "registry", "environment", "launchd")
    )
    queues = _queues(report, top.pop("queues", ()), top.pop("queue", None))
    return AgentConfig(
        **top,
        queues=queues,
        builder=blocks.builder(report, values.get("builder")),
        registry=blocks.registry(report, values.get("registry")),
        environment=blocks.environment(report, values.get("environment")),
        launchd=_ours(report, values.get("launchd"), environ),
    )


def _queues(report: Report, queues: tuple[str, ...], queue: str | None) -> tuple[str, ...]:
    # W&B's loader means to accept the singular key, and its check then refuses it.
    named = tuple(dict.fromkeys((*queues, *([queue] if queue else []))))
    if not named and not any("queue" in problem.where for problem in report.problems):
        report.refuse("queues", None, "no queue is named", "Name one in the file, or with --queue.")
    return named


def _ours(report: Report, block: Any, environ: Mapping[str, str]) -> LaunchdConfig:
    values = blocks.fill(report, "launchd.", block, blocks.OURS, blocks=SECTIONS)
    sections = block if isinstance(block, dict) else {}
    state_dir = values.pop("state_dir", None) or default_state_dir(environ)
    runtime_dir = values.pop("runtime_dir", None) or default_runtime_dir(environ, state_dir)
    return LaunchdConfig(
        **values,
        state_dir=state_dir,
        runtime_dir=runtime_dir,
        jobs=blocks.jobs(report, sections.get("jobs")),
        venv=blocks.venv(report, sections.get("venv")),
        policy=blocks.policy(report, sections.get("policy")),
        supervision=blocks.supervision(report, sections.get("supervision")),
    )


def default_state_dir(environ: Mapping[str, str]) -> str:
    """Where an agent keeps its state when nobody says otherwise: the system's place for root, the user's for others."""
    if os.geteuid() == 0:
        return "/var/lib/launch-agent"
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
