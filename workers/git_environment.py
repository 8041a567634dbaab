"""The environment of git, wherever it is started: for a job's source, and by an installer for requirements.

Owns which transports it may use, which certificates it trusts, and how it finds the credentials of the agent's user.
"""

from collections.abc import Mapping

from ipc.policy_rules import PolicyRules

#: Git's name for the transport of a path on this host.
LOCAL_TRANSPORT = "file"

_CONNECT_TIMEOUT_SECONDS = 30
#: For ssh: no question on a terminal.
SSH_OPTIONS = f"-o BatchMode=yes -o ConnectTimeout={_CONNECT_TIMEOUT_SECONDS}"

#: The organisation's certificates.
_CERTIFICATES = ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH")
#: Of the worker's own environment, what git and ssh need to find keys and helpers, where these are lent.
_CREDENTIALS = ("XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM")


def git_settings(rules: PolicyRules, worker: Mapping[str, str]) -> dict[str, str]:
    """Return what git is told on this host for any job; ``worker`` is the worker's own environment. No secret."""
    transports = (*rules.git_transports, LOCAL_TRANSPORT) if rules.allow_local_git else rules.git_transports
    return {
        **{name: worker[name] for name in _CERTIFICATES if name in worker},
        "GIT_ALLOW_PROTOCOL": ":".join(transports),
        "GIT_TERMINAL_PROMPT": "0",
    }


def own_credentials(worker: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which git and ssh of the agent's own user find its keys and credential helpers."""
    names = {name: worker[name] for name in _CREDENTIALS if name in worker}
    return {**names, "GIT_SSH_COMMAND": f"{worker.get('GIT_SSH_COMMAND', 'ssh')} {SSH_OPTIONS}"}
