"""What the checks look at: the configuration of the agent, where it was found, and the variables of the environment."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ipc.policy_rules import PolicyRules
from ipc.targets import Target, find_target
from launchd.config import AgentConfig, LaunchdConfig, default_runtime_dir, default_state_dir


class Host(msgspec.Struct, frozen=True):
    """A host with the agent that is examined.

    ``config`` is that of the agent, or of the defaults where ``is_usable`` is false; ``path`` is its file, None where
    there is none. ``url`` is the queue server's address where the command line names one. ``root`` is where the host's
    own files are looked for, such as those of its kernel.
    """

    config: AgentConfig
    is_usable: bool = True
    path: str | None = None
    url: str | None = None
    environ: Mapping[str, str] = {}
    root: str = "/"

    def file(self, path: str) -> Path:
        """Return a file of the host."""
        return Path(self.root, path.lstrip("/"))

    def rules(self) -> Iterator[tuple[str, PolicyRules]]:
        """Yield the rules for each queue of the agent."""
        for queue in self.config.queues:
            yield queue, self.config.launchd.policy.for_queue(queue)

    def targets(self) -> tuple[Target, ...]:
        """Return the kinds of target that some queue of this agent may ask for, each once."""
        words = {word for _, rules in self.rules() for word in rules.resources}
        found = {target.name: target for word in words if (target := find_target(word)) is not None}
        return tuple(found[name] for name in sorted(found))


def unconfigured(environ: Mapping[str, str], path: str | None = None, url: str | None = None) -> Host:
    """Return the host of an agent whose configuration cannot be used, with the usual directories."""
    state_dir = default_state_dir(environ)
    settings = LaunchdConfig(state_dir=state_dir, runtime_dir=default_runtime_dir(environ, state_dir))
    return Host(AgentConfig(launchd=settings), is_usable=False, path=path, url=url, environ=environ)
