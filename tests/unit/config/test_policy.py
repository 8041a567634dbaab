"""The policy of a host: resources, git transports, local repositories, and W&B's secure mode."""

from typing import Any

import pytest

from launchd.agent.policy import refusal
from launchd.config import PolicyRules

STRICT = PolicyRules()
POD = ("kubernetes", "spec", "template", "spec")


def decide(
    resource: str = "local-process",
    *,
    entry_point: bool = False,
    resource_args: Any = None,
    repo: str | None = None,
    rules: PolicyRules = STRICT,
    secure: bool = False,
) -> str | None:
    return refusal(resource, entry_point, resource_args or {}, repo, rules, secure)


def pod(**spec: Any) -> dict[str, Any]:
    inner: dict[str, Any] = spec
    for key in reversed(POD):
        inner = {key: inner}
    return inner


def test_by_default_only_processes_of_this_host_are_granted() -> None:
    assert decide() is None
    assert decide("kubernetes") == (
        "The resource kubernetes is not granted on this host, which grants: local-process (launchd.policy.resources)."
    )
    assert decide("fake", rules=PolicyRules(resources=("fake",))) is None


@pytest.mark.parametrize("repo", ["https://h/r", "HTTPS://h/r", "ssh://git@h/r", "git@h:r", "h:r"])
def test_the_usual_transports_are_granted(repo: str) -> None:
    assert decide(repo=repo) is None


@pytest.mark.parametrize(
    ("repo", "transport"), [("http://h/r", "http"), ("git://h/r", "git"), ("ext::sh -c x", "ext"), ("fd::17", "fd")]
)
def test_other_transports_are_refused(repo: str, transport: str) -> None:
    assert decide(repo=repo) == (
        f"The git transport {transport} is not granted here, only: https, ssh (launchd.policy.git_transports)."
    )


@pytest.mark.parametrize("repo", ["/srv/r", "file:///srv/r", "FILE:///srv/r", "r", "./r", "../r", "~/r", "/a:b/r"])
def test_repositories_of_this_host_need_the_administrator(repo: str) -> None:
    refused = "Repositories on this host's own disk are not granted here (launchd.policy.allow_local_git)."

    assert decide(repo=repo) == refused
    assert decide(repo=repo, rules=PolicyRules(allow_local_git=True)) is None


def test_a_host_may_grant_local_repositories_alone() -> None:
    rules = PolicyRules(allow_local_git=True, git_transports=())

    assert decide(repo="/srv/r", rules=rules) is None
    assert "only: none" in str(decide(repo="https://h/r", rules=rules))


def test_secure_mode_refuses_an_entry_point() -> None:
    assert decide(entry_point=True) is None
    assert "does not let a job replace its entry point" in str(decide(entry_point=True, secure=True))


@pytest.mark.parametrize("key", ["hostPID", "hostIPC", "hostNetwork", "initContainers"])
def test_secure_mode_refuses_the_hosts_namespaces(key: str) -> None:
    args = pod(**{key: False})

    assert decide(resource_args=args) is None
    assert f"does not allow {key} in a pod" in str(decide(resource_args=args, secure=True))


def test_secure_mode_refuses_a_containers_command() -> None:
    args = pod(containers=[{"image": "a"}, {"command": ["sh"]}])

    assert "containers.command" in str(decide(resource_args=args, secure=True))


@pytest.mark.parametrize(
    "args", [{"kubernetes": None}, {"kubernetes": {"spec": []}}, pod(containers="all"), pod(containers=[1, None])]
)
def test_secure_mode_accepts_arguments_of_any_shape(args: Any) -> None:
    assert decide(resource_args=args, secure=True) is None
