"""The presets of `launchd.policy`: what `preset: public`, `team` and `trusted` stand for.

Each sets all that containers may have, so that the preset of a queue closes what the rules for all queues open, and of
the other rules those that depend on how far submitters are trusted. Pure data.
"""

from collections.abc import Mapping
from typing import Any

from ipc.policy_rules import ContainerLimits, ContainerRules, KubernetesRules, VertexRules
from ipc.settings import GIB

#: Submitters whom the administrator does not know: a share of the host, and nothing of what is on it.
_PUBLIC = {
    "allow_root_jobs": False,
    "git_credentials": False,
    "allow_local_git": False,
    "git_transports": ("https",),
    "containers": ContainerRules(
        no_new_privileges=True,
        limits=ContainerLimits(memory=16 * GIB, processors=4.0, processes=4096, shared_memory=4 * GIB, disk=50 * GIB),
    ),
    "kubernetes": KubernetesRules(),
    "vertex": VertexRules(),
}

#: Colleagues, none of whom is to be root on the host: volumes, networks and ports are shared.
_TEAM = {
    "allow_root_jobs": False,
    "git_transports": ("https", "ssh"),
    "containers": ContainerRules(
        volumes=("*",), networks=("*",), capabilities=("SYS_PTRACE", "SYS_NICE"), flags=("publish", "sysctl=net.*")
    ),
    "kubernetes": KubernetesRules(),
    "vertex": VertexRules(),
}

#: Those who are as good as root on the host anyway.
_TRUSTED = {
    "allow_root_jobs": True,
    "allow_local_git": True,
    "git_transports": ("https", "ssh", "http", "git"),
    "containers": ContainerRules(
        mounts=("/:rw",),
        volumes=("*",),
        devices=("/dev/*", "/dev/*/*"),
        networks=("*", "host"),
        capabilities=("ALL",),
        users=("*",),
        flags=(
            "cgroupns", "cpu-shares", "device-cgroup-rule", "group-add", "ip", "ip6", "ipc", "label", "link",
            "mac-address", "oom-score-adj", "pid", "privileged", "publish", "publish-all", "runtime", "security-opt",
            "sysctl", "ulimit", "userns", "uts",
        ),
        limits=ContainerLimits(health_check_seconds=0.0),
    ),
    "kubernetes": KubernetesRules(
        contexts=("*",),
        service_accounts=("*",),
        custom_resources=("*",),
        services=("*",),
        host_paths=("/",),
        fields=(
            "automountServiceAccountToken", "hostIPC", "hostNetwork", "hostPID", "hostPort", "hostUsers",
            "mountPropagation", "privileged", "securityContext", "serviceAccountToken", "shareProcessNamespace",
        ),
    ),
    "vertex": VertexRules(service_accounts=("*",), networks=("*",), fields=("*",)),
}  # fmt: skip

PRESETS: Mapping[str, Mapping[str, Any]] = {"public": _PUBLIC, "team": _TEAM, "trusted": _TRUSTED}
