"""What the administrator of this host grants to those who can push items to a queue.

Pure functions over plain values: a refusal is a sentence for the submitter, None means granted. The worker that fetches
a git URL reads it in full, and checks it again.
"""

import re
from collections.abc import Mapping
from typing import Any

from ipc.targets import find_target
from launchd.config import PolicyRules

#: What W&B's secure mode refuses in a pod's spec (its agent 0.20.1, `_assert_secure`).
INSECURE_POD_KEYS = ("hostPID", "hostIPC", "hostNetwork", "initContainers")

LOCAL = "file"
_WITH_TRANSPORT = re.compile(r"([A-Za-z0-9+.-]+)(://|::)")
#: `[user@]host:path`; a slash before the colon makes it a path, for git as for this check.
_SCP_LIKE = re.compile(r"[^/:]+:")


def refusal(
    resource: str,
    entry_point: bool,
    resource_args: Mapping[str, Any],
    git_repo: str | None,
    rules: PolicyRules,
    secure_mode: bool,
) -> str | None:
    """Return why this host does not run such a job, or None.

    `entry_point`: whether the spec brings its own; `git_repo`: the URL as the submitter wrote it.
    """
    return (
        _refuse_resource(resource, rules)
        or (_refuse_git(git_repo, rules) if git_repo else None)
        or (_refuse_insecure(entry_point, resource_args) if secure_mode else None)
    )


def _refuse_resource(resource: str, rules: PolicyRules) -> str | None:
    target = find_target(resource)
    if any(word in rules.resources for word in (target.words if target else (resource,))):
        return None
    granted = ", ".join(rules.resources) or "none"
    return f"The resource {resource} is not granted on this host, which grants: {granted} (launchd.policy.resources)."


def _refuse_git(repo: str, rules: PolicyRules) -> str | None:
    transport = _transport(repo)
    if transport == LOCAL and not rules.allow_local_git:
        return "Repositories on this host's own disk are not granted here (launchd.policy.allow_local_git)."
    if transport != LOCAL and transport not in rules.git_transports:
        granted = ", ".join(rules.git_transports) or "none"
        return f"The git transport {transport} is not granted here, only: {granted} (launchd.policy.git_transports)."
    return None


def _transport(repo: str) -> str:
    """How git would reach the repository; a repository that is not clearly elsewhere is on this host."""
    if match := _WITH_TRANSPORT.match(repo):
        return match[1].lower()
    return "ssh" if _SCP_LIKE.match(repo) else LOCAL


def _refuse_insecure(entry_point: bool, resource_args: Mapping[str, Any]) -> str | None:
    if entry_point:
        return "The agent is in secure mode, which does not let a job replace its entry point."
    pod = _inner(resource_args, "kubernetes", "spec", "template", "spec")
    refused = [key for key in INSECURE_POD_KEYS if key in pod]
    if any("command" in container for container in _containers(pod)):
        refused.append("containers.command")
    if refused:
        return f"The agent is in secure mode, which does not allow {', '.join(refused)} in a pod."
    return None


def _inner(value: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    containers = pod.get("containers")
    return [one for one in containers if isinstance(one, Mapping)] if isinstance(containers, list) else []
