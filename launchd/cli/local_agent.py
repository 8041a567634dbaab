"""The agent of this host: its directories, and requests to its control socket."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ipc.settings import DockerConfig
from launchd.agent.control.client import ControlError, NoAnswer, ask
from launchd.cli.terminal import echo
from launchd.config import (
    SYSTEM_STATE_DIR,
    ConfigError,
    Flags,
    default_runtime_dir,
    default_state_dir,
    likely_runtime_dir,
    load,
)
from launchd.local.instance import InstanceNotRunning, LocalInstance, default_directory, running_instance

#: The exceptions of :func:`runtime_dir`, :func:`agent_locations` and :func:`ask_agent`.
LOCAL_ERRORS = (ControlError, ConfigError, InstanceNotRunning)

#: A configuration must name queues, which do not matter for finding a socket.
_ANY_QUEUE = Flags(queues=("any",))


class AgentLocation(NamedTuple):
    """The directories of an agent: its control socket is in ``runtime_dir``, its journal in ``state_dir``."""

    runtime_dir: Path
    state_dir: Path


def runtime_dir(config_path: str | None, state_dir: Path | None) -> Path:
    """Return the directory of the agent's socket: the named configuration's, the running `up`'s, or the usual one.

    An agent that runs answers also where its configuration has become unusable since: that is said on standard error.

    Raises:
        ConfigError: the configuration cannot be used, and no agent answers. `InstanceNotRunning`: no `up` runs over
            ``state_dir``.
    """
    info = None if config_path else running_instance(state_dir)
    if info:
        return Path(info.runtime_dir)
    try:
        return _configured(config_path).runtime_dir
    except ConfigError as error:
        return _of_running_agent(config_path, error)


def _of_running_agent(config_path: str | None, error: ConfigError) -> Path:
    directory = Path(likely_runtime_dir(config_path, os.environ))
    try:
        agent = ask_agent(directory, command="status")["status"]["agent"]
    except ControlError:
        raise error from None
    described = "; ".join(map(str, error.problems))
    echo(
        f"Warning: the configuration cannot be used, and the agent that runs (process {agent['pid']}) would not start"
        f" again with it: {described}",
        err=True,
    )
    return directory


def agent_locations(config_path: str | None, state_dir: Path | None) -> list[AgentLocation]:
    """Return the possible locations of an agent, running or ended, the likeliest first.

    Raises:
        ConfigError: the configuration cannot be used, and no agent answers.
    """
    if config_path:
        return [_configured_or_running(config_path)]
    instance = LocalInstance(state_dir or default_directory(os.environ))
    local = AgentLocation(instance.runtime_dir, instance.agent_dir)
    if state_dir or instance.is_up():
        return [local]
    return [_configured_or_running(None), local]


def _configured_or_running(config_path: str | None) -> AgentLocation:
    try:
        return _configured(config_path)
    except ConfigError as error:
        return AgentLocation(_of_running_agent(config_path, error), Path(default_state_dir(os.environ)))


def _configured(config_path: str | None) -> AgentLocation:
    config = load(config_path, os.environ, _ANY_QUEUE).config.launchd
    return AgentLocation(Path(config.runtime_dir), Path(config.state_dir))


def engine_settings(config_path: str | None, environ: Mapping[str, str]) -> DockerConfig:
    """Return what the configuration says of this host's container engine. Raises `ConfigError`."""
    return load(config_path, environ, _ANY_QUEUE).config.launchd.docker


def ask_agent(directory: Path, **request: Any) -> dict[str, Any]:
    """Return the agent's response to a request.

    Raises:
        ControlError: the agent cannot be reached, or refuses the request.
    """
    try:
        response = ask(directory, request)
    except NoAnswer as error:
        if _service_agent_may_be_meant(directory):
            raise NoAnswer(f"{error} That of the system service is root's: ask it with sudo.") from None
        raise
    if not response.get("ok"):
        raise ControlError(str(response.get("error") or "The agent refused without a reason."))
    return response


def _service_agent_may_be_meant(directory: Path) -> bool:
    """Return whether a user other than root asks their own agent, on a host with the system service."""
    usual = default_runtime_dir(os.environ, default_state_dir(os.environ))
    return os.geteuid() != 0 and directory == Path(usual) and Path(SYSTEM_STATE_DIR).exists()
