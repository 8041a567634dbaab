"""The flags of `docker run`: each one's field of the Engine API, and what is refused by name."""

import re
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import InvalidSpec
from workers.docker.flags import ALIASES, FLAGS, REFUSED, flag_name, translate
from workers.docker.request import Ask, ContainerRequest

PAGE = Path(__file__).parents[4] / "docs" / "docker.md"


def endpoint(fields: dict[str, Any]) -> dict[str, Any]:
    return {"NetworkingConfig": {"EndpointsConfig": {"bridge": fields}}}


#: By flag: a value, and the fields that Docker's own command line sets for it.
EFFECTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "add-host": ("box:10.0.0.1", {"HostConfig": {"ExtraHosts": ["box:10.0.0.1"]}}),
    "attach": ("stdout", {}),
    "blkio-weight": (300, {"HostConfig": {"BlkioWeight": 300}}),
    "blkio-weight-device": (
        "/dev/sda:200",
        {"HostConfig": {"BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 200}]}},
    ),
    "cap-add": ("cap_sys_ptrace", {"HostConfig": {"CapAdd": ["SYS_PTRACE"]}}),
    "cap-drop": (["ALL"], {"HostConfig": {"CapDrop": ["ALL"]}}),
    "cgroup-parent": ("/x", {"HostConfig": {"CgroupParent": "/x"}}),
    "cgroupns": ("host", {"HostConfig": {"CgroupnsMode": "host"}}),
    "cpu-period": (100000, {"HostConfig": {"CpuPeriod": 100000}}),
    "cpu-quota": ("50000", {"HostConfig": {"CpuQuota": 50000}}),
    "cpu-rt-period": (1, {"HostConfig": {"CpuRealtimePeriod": 1}}),
    "cpu-rt-runtime": (1, {"HostConfig": {"CpuRealtimeRuntime": 1}}),
    "cpu-shares": (512, {"HostConfig": {"CpuShares": 512}}),
    "cpus": (1.5, {"HostConfig": {"NanoCpus": 1_500_000_000}}),
    "cpuset-cpus": ("0-3", {"HostConfig": {"CpusetCpus": "0-3"}}),
    "cpuset-mems": (0, {"HostConfig": {"CpusetMems": "0"}}),
    "detach-keys": ("ctrl-p", {}),
    "device": ("/dev/fuse", {}),
    "device-cgroup-rule": ("c 1:3 mr", {"HostConfig": {"DeviceCgroupRules": ["c 1:3 mr"]}}),
    "device-read-bps": (
        "/dev/sda:1mb",
        {"HostConfig": {"BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1 << 20}]}},
    ),
    "device-read-iops": ("/dev/sda:5", {"HostConfig": {"BlkioDeviceReadIOps": [{"Path": "/dev/sda", "Rate": 5}]}}),
    "device-write-bps": ("/dev/sda:1", {"HostConfig": {"BlkioDeviceWriteBps": [{"Path": "/dev/sda", "Rate": 1}]}}),
    "device-write-iops": ("/dev/sda:5", {"HostConfig": {"BlkioDeviceWriteIOps": [{"Path": "/dev/sda", "Rate": 5}]}}),
    "disable-content-trust": (True, {}),
    "dns": ("10.0.0.1", {"HostConfig": {"Dns": ["10.0.0.1"]}}),
    "dns-option": ("ndots:1", {"HostConfig": {"DnsOptions": ["ndots:1"]}}),
    "dns-search": ("lab", {"HostConfig": {"DnsSearch": ["lab"]}}),
    "domainname": ("lab", {"Domainname": "lab"}),
    "entrypoint": ("sh", {"Entrypoint": ["sh"]}),
    "env": (["A=1", "B="], {}),
    "env-file": ("/etc/env", {}),
    "expose": ("80-81/udp", {"ExposedPorts": {"80/udp": {}, "81/udp": {}}}),
    "group-add": ("video", {"HostConfig": {"GroupAdd": ["video"]}}),
    "health-cmd": ("true", {"Healthcheck": {"Test": ["CMD-SHELL", "true"]}}),
    "health-interval": ("1m30s", {"Healthcheck": {"Interval": 90 * 10**9}}),
    "health-retries": (3, {"Healthcheck": {"Retries": 3}}),
    "health-start-interval": ("6s", {"Healthcheck": {"StartInterval": 6 * 10**9}}),
    "health-start-period": ("500ms", {"Healthcheck": {"StartPeriod": 5 * 10**8}}),
    "health-timeout": ("2s", {"Healthcheck": {"Timeout": 2 * 10**9}}),
    "hostname": ("box", {"Hostname": "box"}),
    "init": (False, {"HostConfig": {"Init": False}}),
    "interactive": (True, {}),
    "ip": (
        "10.0.0.9",
        {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}}}}},
    ),
    "ip6": ("fd::9", {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv6Address": "fd::9"}}}}}),
    "ipc": ("host", {"HostConfig": {"IpcMode": "host"}}),
    "label": ("a=b=c", {"Labels": {"a": "b=c"}}),
    "link": ("other", {"HostConfig": {"Links": ["other"]}}),
    "link-local-ip": ("169.254.1.1", endpoint({"IPAMConfig": {"LinkLocalIPs": ["169.254.1.1"]}})),
    "mac-address": ("92:d0:c6:0a:29:33", {"MacAddress": "92:d0:c6:0a:29:33"}),
    "memory": ("1.5g", {"HostConfig": {"Memory": 3 << 29}}),
    "memory-reservation": ("512 MiB", {"HostConfig": {"MemoryReservation": 1 << 29}}),
    "memory-swap": (-1, {"HostConfig": {"MemorySwap": -1}}),
    "memory-swappiness": (0, {"HostConfig": {"MemorySwappiness": 0}}),
    "mount": (
        "type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=1770",
        {
            "HostConfig": {
                "Mounts": [
                    {
                        "Type": "tmpfs",
                        "Target": "/x",
                        "ReadOnly": False,
                        "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1770},
                    }
                ]
            }
        },
    ),
    "name": ("mine", {"Labels": {"launchd.requested-name": "mine"}}),
    "network": ("none", {"HostConfig": {"NetworkMode": "none"}}),
    "network-alias": ("box", endpoint({"Aliases": ["box"]})),
    "no-healthcheck": (True, {"Healthcheck": {"Test": ["NONE"]}}),
    "oom-kill-disable": (True, {"HostConfig": {"OomKillDisable": True}}),
    "oom-score-adj": (-500, {"HostConfig": {"OomScoreAdj": -500}}),
    "pid": ("host", {"HostConfig": {"PidMode": "host"}}),
    "pids-limit": (100, {"HostConfig": {"PidsLimit": 100}}),
    "platform": ("linux/arm64", {}),
    "privileged": (True, {"HostConfig": {"Privileged": True}}),
    "publish": (
        "127.0.0.1:8080:80",
        {
            "ExposedPorts": {"80/tcp": {}},
            "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}},
        },
    ),
    "publish-all": (True, {"HostConfig": {"PublishAllPorts": True}}),
    "pull": ("never", {}),
    "quiet": (True, {}),
    "read-only": (True, {"HostConfig": {"ReadonlyRootfs": True}}),
    "rm": (True, {}),
    "runtime": ("nvidia", {"HostConfig": {"Runtime": "nvidia"}}),
    "security-opt": ("seccomp=unconfined", {"HostConfig": {"SecurityOpt": ["seccomp=unconfined"]}}),
    "shm-size": ("8g", {"HostConfig": {"ShmSize": 8 << 30}}),
    "sig-proxy": (False, {}),
    "stop-signal": ("SIGINT", {"StopSignal": "SIGINT"}),
    "stop-timeout": (5, {"StopTimeout": 5}),
    "storage-opt": ("size=10G", {"HostConfig": {"StorageOpt": {"size": "10G"}}}),
    "sysctl": ("net.core.somaxconn=9", {"HostConfig": {"Sysctls": {"net.core.somaxconn": "9"}}}),
    "tmpfs": ("/tmp:size=1g", {"HostConfig": {"Tmpfs": {"/tmp": "size=1g"}}}),
    "tty": (True, {"Tty": True}),
    "ulimit": (
        ["memlock=-1", "nofile=1:2"],
        {
            "HostConfig": {
                "Ulimits": [
                    {"Name": "memlock", "Soft": -1, "Hard": -1},
                    {"Name": "nofile", "Soft": 1, "Hard": 2},
                ]
            }
        },
    ),
    "user": ("1000:1000", {"User": "1000:1000"}),
    "userns": ("host", {"HostConfig": {"UsernsMode": "host"}}),
    "uts": ("host", {"HostConfig": {"UTSMode": "host"}}),
    "volume": (
        "data:/data:ro",
        {"HostConfig": {"Mounts": [{"Type": "volume", "Target": "/data", "ReadOnly": True, "Source": "data"}]}},
    ),
    "volume-driver": ("nfs", {"HostConfig": {"VolumeDriver": "nfs"}}),
    "volumes-from": ("other", {"HostConfig": {"VolumesFrom": ["other"]}}),
    "workdir": ("/w", {"WorkingDir": "/w"}),
}


def test_every_flag_is_tried() -> None:
    assert sorted(EFFECTS) == sorted(FLAGS)


@pytest.mark.parametrize("name", EFFECTS)
def test_a_flag_sets_the_fields_that_docker_sets(name: str) -> None:
    value, fields = EFFECTS[name]

    assert translate({name: value}).config == fields


@pytest.mark.parametrize("name", EFFECTS)
def test_dashes_underscores_and_leading_dashes_are_the_same(name: str) -> None:
    value = EFFECTS[name][0]

    assert translate({name.replace("-", "_"): value}) == translate({f"--{name}": value}) == translate({name: value})


@pytest.mark.parametrize(
    ("short", "name"), [(short, name) for short, name in ALIASES.items() if short in FLAGS or name]
)
def test_other_words_mean_the_same(short: str, name: str) -> None:
    value = EFFECTS[name][0]

    assert translate({short: value}) == translate({name: value})


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_that_is_left_empty_is_not_there(name: str) -> None:
    assert translate({name: None}) == ContainerRequest()
    assert translate({name: []}) == ContainerRequest()
    if not FLAGS[name].is_switch:
        assert translate({name: False}) == ContainerRequest()


def test_letters_are_told_by_their_size() -> None:
    assert flag_name("-p") == "publish"
    assert flag_name("P") == "publish-all"
    assert flag_name("GPUs") == "gpus"


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_job_is_given_says_why(name: str) -> None:
    with pytest.raises(InvalidSpec, match=re.escape(f"resource_args.local-container.{name} is not given to jobs: ")):
        translate({name: "x"})
    assert translate({name: False}) == ContainerRequest()


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("memroy", "Did you mean memory?"),
        ("volumes", "Did you mean volume?"),
        ("cpu", "Did you mean cpus?"),
        ("qqqq", "See the table"),
    ],
)
def test_an_unknown_flag_is_named_with_the_nearest(key: str, hint: str) -> None:
    with pytest.raises(InvalidSpec, match=key) as caught:
        translate({key: 1})
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("env", {"A": "1"}, "must be text"),
        ("volume", [["/a:/b"]], "must be text"),
        ("memory", True, "must have a value"),
        ("memory", "lots", "must be a number of bytes"),
        ("cpus", "-1", "must be a number of processors"),
        ("init", "maybe", "must be true or false"),
        ("user", "", "must not be empty"),
        ("ulimit", "nofile", "must be NAME=SOFT"),
        ("volume", "a:b:c:d", "must be SOURCE:TARGET"),
        ("volume", "./x:/y", "must have an absolute path of the host, or the name of a volume"),
        ("volume", "/a/../etc:/y", "absolute paths without .."),
        ("volume", "/a:y", "absolute paths"),
        ("volume", "/a:/b:rshared", "'rshared', which is not given to jobs"),
        ("mount", "type=bind,src=/a,dst=/b,bind-propagation=shared", "must not propagate"),
        ("mount", "type=volume,dst=/b,volume-opt=device=/etc", "'volume-opt', which is not given to jobs"),
        ("mount", "type=volume,dst=/b,volume-driver=x", "'volume-driver', which is not given to jobs"),
        ("mount", "type=npipe,src=/a,dst=/b", "must be of the type bind, volume, tmpfs"),
        ("mount", 'type=bind,"src=/a', "must be one line"),
        ("network", "name=host,alias=x", "must be the name of one network"),
        ("device", "vendor.com/gpu=all", "absolute paths"),
        ("security-opt", "seccomp=/tmp/x.json", "unconfined is the only one"),
        ("label", "launchd.name=other", "whose labels are the agent's"),
        ("pull", "sometimes", "must be one of always, missing, never"),
        ("publish", "1-2:3", "as many ports"),
        ("expose", "0x50", "must be a port"),
        ("expose", "1-65535", "must name 1024 ports at most"),
        ("publish", "1-2000:1-2000", "must name 1024 ports at most"),
        ("health-interval", "soon", "must be a duration"),
    ],
)
def test_a_value_that_is_none_is_a_sentence(key: str, value: Any, why: str) -> None:
    with pytest.raises(InvalidSpec, match=re.escape(why)) as caught:
        translate({key: value})
    assert f"resource_args.local-container.{key} " in caught.value.message


def test_lists_and_both_spellings_add_up_in_order() -> None:
    request = translate({"v": ["/a:/1", "/b:/2"], "volume": "/c:/3:ro", "e": "A=1", "env": ["B=2", "C"]})

    assert [(bind.source.written, bind.target, bind.read_only) for bind in request.binds] == [
        ("/a", "/1", False),
        ("/b", "/2", False),
        ("/c", "/3", True),
    ]
    assert request.variables == ("A=1", "B=2", "C")
    assert request.asks == (Ask("env", "C", "host_variables"),)


def test_an_empty_entry_point_takes_away_the_images() -> None:
    assert translate({"entrypoint": ""}).config == {"Entrypoint": [""]}


def test_the_last_value_of_one_counts() -> None:
    assert translate({"memory": ["1g", "2g"]}).config == {"HostConfig": {"Memory": 2 << 30}}


def test_the_section_of_builders_is_no_flag() -> None:
    assert translate({"builder": {"accelerator": {"base_image": "cuda"}}}) == ContainerRequest()


def test_every_flag_is_on_the_page() -> None:
    named = set(re.findall(r"`([a-z0-9-]+)`", PAGE.read_text()))
    windows = {"cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops", "isolation", "d"}

    assert sorted((FLAGS.keys() | REFUSED.keys()) - windows - named) == []
