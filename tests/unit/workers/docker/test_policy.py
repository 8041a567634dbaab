"""The policy of containers: strict by default, each rule grants what it says, and refusals name key, rule and file."""

from typing import Any

import pytest
from msgspec.structs import replace

from ipc.policy_rules import ContainerRules
from workers.docker.flags import FLAGS, translate
from workers.docker.images import parse_image
from workers.docker.policy import Facts, refusals, refuse_image
from workers.docker.request import Bind, ContainerRequest, Device, EnvFile, HostPath

STRICT = ContainerRules()
FACTS = Facts(engine_sockets=("/run/docker.sock",), agent_directories=("/var/lib/launchd",))


def judge(rules: ContainerRules = STRICT, /, **args: Any) -> list[str]:
    """Return the refusals of arguments whose paths lead to themselves."""
    request = translate(args)
    resolved = replace(
        request,
        binds=tuple(replace(bind, source=itself(bind.source)) for bind in request.binds),
        devices=tuple(replace(device, source=itself(device.source)) for device in request.devices),
        env_files=tuple(replace(file, source=itself(file.source)) for file in request.env_files),
    )
    return refusals(resolved, rules, FACTS)


def itself(path: HostPath) -> HostPath:
    return HostPath(path.written, path.written)


def bound(source: str, rules: ContainerRules, *, read_only: bool = True, **more: Any) -> list[str]:
    """Return the refusals of a mount of ``source``, which leads to itself."""
    bind = Bind("volume", HostPath(source, source), "/x", read_only, **more)
    return refusals(ContainerRequest(binds=(bind,)), rules, FACTS)


#: W&B's agent 0.28.1 lets submitters have these; the others here ask for nothing of the host either.
HARMLESS = {
    "cpus": 1, "memory": "1g", "shm-size": "1g", "ulimit": ["memlock=-1"], "env": ["A=1"], "workdir": "/w",
    "pids-limit": 9, "network": "none", "ipc": "private", "init": True, "tty": True, "tmpfs": "/x", "volume": "/new",
    "read-only": True, "cap-drop": "ALL", "security-opt": "no-new-privileges", "rm": True, "name": "x",
    "platform": "linux/amd64",
}  # fmt: skip


def test_what_asks_for_nothing_of_the_host_needs_no_grant() -> None:
    assert judge(**HARMLESS) == []


@pytest.mark.parametrize(
    ("args", "wanted", "rule", "grant"),
    [
        ({"privileged": True}, "privileged", "flags", "privileged"),
        ({"pid": "host"}, "pid host", "flags", "pid=host"),
        ({"ipc": "host"}, "ipc host", "flags", "ipc=h*"),
        ({"ipc": "container:x"}, "ipc container:x", "flags", "ipc"),
        ({"uts": "host"}, "uts host", "flags", "uts"),
        ({"userns": "host"}, "userns host", "flags", "userns"),
        ({"cgroupns": "host"}, "cgroupns host", "flags", "cgroupns"),
        ({"cgroup-parent": "/"}, "cgroup-parent /", "flags", "cgroup-parent"),
        ({"security-opt": "apparmor=unconfined"}, "security-opt apparmor=unconfined", "flags", "security-opt"),
        ({"volumes-from": "x"}, "volumes-from x", "flags", "volumes-from"),
        ({"device-cgroup-rule": "a *:* rwm"}, "device-cgroup-rule a *:* rwm", "flags", "device-cgroup-rule"),
        ({"publish": "80:80"}, "publish 80:80", "flags", "publish"),
        ({"group-add": "docker"}, "group-add docker", "flags", "group-add"),
        ({"runtime": "x"}, "runtime x", "flags", "runtime"),
        ({"sysctl": "kernel.shm_rmid_forced=1"}, "sysctl kernel.shm_rmid_forced=1", "flags", "sysctl"),
        ({"network": "host"}, "network host", "networks", "host"),
        ({"network": "container:x"}, "network container:x", "networks", "container:x"),
        ({"network": "mine"}, "network mine", "networks", "mi*"),
        ({"cap-add": "sys_admin"}, "cap-add sys_admin", "capabilities", "CAP_SYS_ADMIN"),
        ({"user": "1:1"}, "user 1:1", "users", "1:*"),
        ({"volume": "cache:/c"}, "volume cache", "volumes", "cache"),
        ({"mount": "type=volume,src=cache,dst=/c"}, "mount cache", "volumes", "*"),
        ({"env": ["AWS_SECRET_ACCESS_KEY"]}, "env AWS_SECRET_ACCESS_KEY", "host_variables", "AWS_SECRET_ACCESS_KEY"),
        ({"env-file": "/etc/jobs/env"}, "env-file /etc/jobs/env", "env_files", "/etc/jobs"),
        ({"device": "/dev/fuse"}, "device /dev/fuse:rwm", "devices", "/dev/fuse"),
        ({"volume": "/data:/d"}, "volume /data", "mounts", "/data:rw"),
        ({"mount": "type=bind,src=/data,dst=/d,readonly"}, "mount /data", "mounts", "/data"),
    ],
)  # fmt: skip
def test_what_is_of_the_host_needs_its_rule(args: dict[str, Any], wanted: str, rule: str, grant: str) -> None:
    (refused,) = judge(**args)

    assert refused.startswith(f"{wanted} is not granted on this host, which grants: ")
    assert f"(launchd.policy.containers.{rule} in launch-config.yaml)" in refused
    assert judge(ContainerRules(**{rule: (grant,)}), **args) == []


def test_each_refusal_is_told() -> None:
    assert len(judge(privileged=True, volume=["/a:/a", "/b:/b"], device="/dev/mem")) == 4


@pytest.mark.parametrize("name", [name for name, flag in FLAGS.items() if flag.rule == "flags"])
def test_a_grant_of_one_flag_grants_no_other(name: str) -> None:
    others = tuple(other for other, flag in FLAGS.items() if flag.rule == "flags" and other != name)
    odd = {"oom-score-adj": 1, "cpu-rt-period": 1, "cpu-rt-runtime": 1, "cpu-shares": 1025, "ulimit": "rtprio=1"}
    value: Any = True if FLAGS[name].is_switch else odd.get(name, "80")

    assert len(judge(ContainerRules(flags=others), **{name: value})) == 1


@pytest.mark.parametrize("value", ["host", "container:x"])
def test_patterns_grant_neither_the_hosts_network_nor_anothers(value: str) -> None:
    assert judge(ContainerRules(networks=("*",)), network="bridge") == []
    assert len(judge(ContainerRules(networks=("*",)), network=value)) == 1


def test_all_capabilities_are_granted_by_their_name_alone() -> None:
    assert len(judge(ContainerRules(capabilities=("SYS_PTRACE",)), **{"cap-add": "ALL"})) == 1
    assert judge(ContainerRules(capabilities=("all",)), **{"cap-add": ["SYS_ADMIN", "ALL"]}) == []


def test_images_are_granted_by_pattern() -> None:
    rules = ContainerRules(images=("registry.example/*",))

    assert refuse_image(parse_image("registry.example/a"), rules) is None
    assert refuse_image(parse_image("a"), STRICT) is None
    assert refuse_image(parse_image("a"), rules) == (
        "The image docker.io/library/a:latest is not granted on this host, which grants: registry.example/*"
        " (launchd.policy.containers.images in launch-config.yaml)."
    )


@pytest.mark.parametrize(
    ("grants", "source", "read_only", "words"),
    [
        (("/data",), "/data", True, None),
        (("/data",), "/data/a/b", True, None),
        (("/data/",), "/data/a", True, None),
        (("/data:ro",), "/data", True, None),
        (("/data",), "/data", False, "granted only to be read"),
        (("/data:rw",), "/data", False, None),
        (("/data:rw",), "/data", True, None),
        (("/data",), "/database", True, "not granted"),
        (("/data/a",), "/data", True, "not granted"),
        (("/data",), "/srv", True, "not granted"),
        # A job that may write to /data can make a link of /data/a.
        (("/data:rw",), "/data/a", True, "mount /data itself"),
        (("/data:rw", "/data/a:rw"), "/data/a", False, "mount /data itself"),
        (("/data", "/data/out:rw"), "/data/out", False, None),
        (("/data", "/data/out:rw"), "/data/out/x", True, "mount /data/out itself"),
        # What no directory around it hands out.
        (("/:rw",), "/", False, "agent's own files"),
        (("/var/lib",), "/var/lib/launchd/jobs", True, "agent's own files"),
        (("/run",), "/run", True, "container engine's socket"),
        (("/run:rw",), "/run", False, "container engine's socket"),
        (("/run",), "/run/docker.sock", True, "container engine's socket"),
        (("/run/docker.sock",), "/run/docker.sock", True, None),
    ],
)  # fmt: skip
def test_mounts(grants: tuple[str, ...], source: str, read_only: bool, words: str | None) -> None:
    refused = bound(source, ContainerRules(mounts=grants), read_only=read_only)

    assert len(refused) == (0 if words is None else 1)
    assert (words or "") in "".join(refused)


def test_a_link_is_judged_by_where_it_leads_and_said_so() -> None:
    bind = Bind("volume", HostPath("/data/link", "/etc"), "/x", read_only=True)

    (refused,) = refusals(ContainerRequest(binds=(bind,)), ContainerRules(mounts=("/data",)), FACTS)

    assert refused.startswith("volume /data/link (which is /etc) is not granted")


def test_what_is_not_there_is_refused_by_name() -> None:
    request = ContainerRequest(
        binds=(Bind("mount", HostPath("/no"), "/x"),),
        devices=(Device("device", HostPath("/dev/no"), "/dev/no"),),
        env_files=(EnvFile(HostPath("/no/env")),),
    )

    assert [text.split(",")[0] for text in refusals(request, STRICT, FACTS)] == [
        "mount names /no",
        "device names /dev/no",
        "env-file names /no/env",
    ]


def test_a_read_only_mount_leaves_nothing_below_it_writable() -> None:
    rules = ContainerRules(mounts=("/data",))

    assert "leave what is mounted below /data writable" in "".join(bound("/data", rules, has_mounts_below=True))
    assert bound("/data", rules, has_mounts_below=True, options={"NonRecursive": True}) == []
    assert bound("/data", ContainerRules(mounts=("/data:rw",)), has_mounts_below=True) == []


def test_labels_are_changed_only_where_a_job_may_write() -> None:
    assert "without a change of its labels" in "".join(bound("/data", ContainerRules(mounts=("/data",)), relabel="z"))
    assert bound("/data", ContainerRules(mounts=("/data:rw",)), relabel="Z") == []
    assert "has a colon" in "".join(bound("/a:b", ContainerRules(mounts=("/a:b:rw",)), relabel="Z"))


@pytest.mark.parametrize(
    ("grant", "value", "granted"),
    [
        ("/dev/infiniband/*", "/dev/infiniband/uverbs0", True),
        ("/dev/infiniband/*", "/dev/infiniband", False),
        ("/dev/*", "/dev/shm/x", False),
        ("/dev/fuse:r", "/dev/fuse:r", True),
        ("/dev/fuse:r", "/dev/fuse", False),
        ("/dev/fuse", "/dev/mem", False),
    ],
)
def test_devices(grant: str, value: str, granted: bool) -> None:
    assert (judge(ContainerRules(devices=(grant,)), device=value) == []) == granted
