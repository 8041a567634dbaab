"""The configuration of the agent: whether it can be used, and for which host the other checks are made."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from launchd.config import ConfigError, Flags, LoadedConfig, check_job_users, load
from launchd.doctor.findings import Finding, fail, ok, warn
from launchd.doctor.host import Host, unconfigured
from launchd.humanize import counted
from launchd.local.instance import LocalInstance, default_directory

#: The directory of the system service's configuration, and the file with variables for it.
SERVICE_DIRECTORY = Path("/etc/launch-agent")
_SERVICE_VARIABLES = SERVICE_DIRECTORY / "environment"

SILENCE = (
    "A directory of the configuration, or the list of this host's users, does not answer.",
    "Look at `mount` and at /etc/nsswitch.conf: a network file system or a directory service may be away.",
)

_CHECK = "`launchd config check` says when it can be used."


class Loaded(msgspec.Struct, frozen=True):
    """What became of a configuration."""

    host: Host
    findings: tuple[Finding, ...]


def find_host(config_path: str | None, state_dir: Path | None, url: str | None, environ: Mapping[str, str]) -> Loaded:
    """Read the configuration of the agent that is meant: the named one, that of the running `up`, or the usual one."""
    file, variables = _file_and_variables(config_path, state_dir, environ)
    try:
        loaded = load(file, variables, Flags())
    except ConfigError as error:
        return Loaded(unconfigured(variables, file, url), tuple(_problems(error)))
    host = Host(loaded.config, path=str(loaded.path) if loaded.path else None, url=url, environ=variables)
    return Loaded(host, tuple(_findings(loaded)))


def _file_and_variables(
    config_path: str | None, state_dir: Path | None, environ: Mapping[str, str]
) -> tuple[str | None, Mapping[str, str]]:
    """Return which file the agent has, None for the usual ones, and which variables: not those of this terminal."""
    instance = LocalInstance(state_dir or default_directory(environ))
    if config_path is None and instance.is_up():
        return str(instance.config_path), _without_wandb(environ)
    service_file = SERVICE_DIRECTORY / "launch-config.yaml"
    if config_path is None and os.geteuid() == 0 and not environ.get("LAUNCHD_CONFIG") and service_file.exists():
        config_path = str(service_file)
    if config_path is not None and Path(config_path).parent == SERVICE_DIRECTORY:
        return config_path, {**_without_wandb(environ), **dict(_variables(_SERVICE_VARIABLES))}
    return config_path, dict(environ)


def _without_wandb(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith("WANDB_")}


def _variables(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the variables of a file as systemd reads it, as far as it has one a line."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith(("#", ";")):
            yield name.strip(), value.strip().strip("\"'")


def _problems(error: ConfigError) -> Iterator[Finding]:
    for problem in error.problems:
        yield fail(str(problem), "The agent ends with exit code 78, and is not restarted.", _CHECK)


def _findings(loaded: LoadedConfig) -> Iterator[Finding]:
    is_service = loaded.path is not None and loaded.path.parent == SERVICE_DIRECTORY
    try:
        warnings = check_job_users(loaded.config, 0 if is_service else os.geteuid())
    except ConfigError as error:
        yield from _problems(error)
        return
    name = f"{loaded.path}" if loaded.path else "The configuration, which has no file,"
    yield ok(f"{name} can be used, for {counted(len(loaded.config.queues), 'queue')}.")
    for warning in (*loaded.warnings, *warnings):
        yield warn(warning, "The setting has another effect than its writer may expect.", "Change or remove it.")
