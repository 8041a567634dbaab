"""This host's agent, as commands speak to it: where its control socket is, and one question to it."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from launchd.agent.control.client import ControlError, NoAnswer, ask
from launchd.config import SYSTEM_STATE_DIR, ConfigError, Flags, default_runtime_dir, default_state_dir, load
from launchd.local.instance import InstanceNotRunning, LocalInstance, default_directory, running_instance

#: What a command that uses :func:`runtime_dir` or :func:`ask_agent` may meet.
LOCAL_ERRORS = (ControlError, ConfigError, InstanceNotRunning)

#: A configuration must name queues; which ones does not matter to who looks for a socket.
_ANY_QUEUE = Flags(queues=("any",))


class AgentLocation(NamedTuple):
    """Where an agent lives: its control socket lies in ``runtime_dir``, its journal in ``state_dir``."""

    runtime_dir: Path
    state_dir: Path


def runtime_dir(config_path: str | None, state_dir: Path | None) -> Path:
    """Where the agent's socket lies: as the named configuration says, that of the living `up`, as the usual one says.

    Raises:
        ConfigError: the configuration cannot be read. `NotUp`: no `up` runs where it should.
    """
    note = None if config_path else running_instance(state_dir)
    return Path(note.runtime_dir) if note else _configured(config_path).runtime_dir


def agent_locations(config_path: str | None, state_dir: Path | None) -> list[AgentLocation]:
    """Where the agent that is meant may live, or have lived, the likeliest first. Raises `ConfigError`."""
    if config_path:
        return [_configured(config_path)]
    home = LocalInstance(state_dir or default_directory(os.environ))
    ours = AgentLocation(home.runtime_dir, home.agent_dir)
    if state_dir or home.is_up():
        return [ours]
    return [_configured(None), ours]


def _configured(config_path: str | None) -> AgentLocation:
    config = load(config_path, os.environ, _ANY_QUEUE).config.launchd
    return AgentLocation(Path(config.runtime_dir), Path(config.state_dir))


def ask_agent(directory: Path, **request: str) -> dict[str, Any]:
    """Return the agent's answer.

    Raises:
        ControlError: it cannot be reached, or it answers that it cannot do that.
    """
    try:
        answer = ask(directory, dict(request))
    except NoAnswer as silence:
        if _service_agent_may_be_meant(directory):
            raise NoAnswer(f"{silence} That of the system service is root's: ask it with sudo.") from None
        raise
    if not answer.get("ok"):
        raise ControlError(str(answer.get("error") or "The agent refused without a reason."))
    return answer


def _service_agent_may_be_meant(directory: Path) -> bool:
    """Whether somebody but root looks where their own agent would be, on a host with a system service."""
    usual = default_runtime_dir(os.environ, default_state_dir(os.environ))
    return os.geteuid() != 0 and directory == Path(usual) and Path(SYSTEM_STATE_DIR).exists()
