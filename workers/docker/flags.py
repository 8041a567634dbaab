"""The flags of `docker run` as W&B's resource args name them, each with the fields of the Engine API it sets.

One table, :data:`FLAGS`; :func:`translate` reads the arguments by it. Pure: paths of the host are followed, and the
policy is asked, elsewhere.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from ipc.errors import InvalidSpec
from ipc.gpus import FLAG as GPUS
from ipc.own_args import SECTION
from workers.docker import flag_actions as actions
from workers.docker import values
from workers.docker.draft import Apply, Draft, many, one, pairs, without_effect
from workers.docker.request import BY_FLAG, CAPABILITIES, NETWORKS, USERS, Ask, ContainerRequest

#: Key of resource args that is about building an image, and no flag.
BUILDER = "builder"

#: Keys that others read: what is asked for of GPUs is given out by the agent, and stands in the work order.
READ_ELSEWHERE = (BUILDER, GPUS, SECTION)

_PRIVATE_IPC = ("none", "private", "shareable")
_NO_NEW_PRIVILEGES = ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true")


class Flag(msgspec.Struct, frozen=True):
    """One flag. ``short`` is its letter, ``is_switch`` whether it takes no value.

    ``rule`` is the rule of the policy that grants its values, ``None`` for a flag that asks for nothing of the host or
    whose paths are judged; ``is_free`` tells the values that need no grant all the same.
    """

    apply: Apply
    short: str | None = None
    is_switch: bool = False
    rule: str | None = None
    is_free: Callable[[str], bool] | None = None


def switched(field: str) -> Flag:
    """A switch that sets ``field``, and asks for nothing of the host."""
    return Flag(one(field, values.switch), is_switch=True)


def _granted(apply: Apply, rule: str = BY_FLAG, **more: Any) -> Flag:
    return Flag(apply, rule=rule, **more)


_SILENT = Flag(without_effect)
_SILENT_SWITCH = Flag(without_effect, is_switch=True)

#: By name, in the order of Docker's own documentation.
FLAGS: dict[str, Flag] = {
    "add-host": Flag(many("HostConfig.ExtraHosts")),
    "attach": Flag(without_effect, short="a"),
    "blkio-weight": Flag(one("HostConfig.BlkioWeight", values.integer)),
    "blkio-weight-device": Flag(many("HostConfig.BlkioWeightDevice", values.device_weight)),
    "cap-add": _granted(many("HostConfig.CapAdd", values.capability), CAPABILITIES),
    "cap-drop": Flag(many("HostConfig.CapDrop", values.capability)),
    "cgroup-parent": _granted(one("HostConfig.CgroupParent")),
    "cgroupns": _granted(one("HostConfig.CgroupnsMode"), is_free=lambda value: value == "private"),
    "cpu-period": Flag(one("HostConfig.CpuPeriod", values.integer)),
    "cpu-quota": Flag(one("HostConfig.CpuQuota", values.integer)),
    "cpu-rt-period": _granted(one("HostConfig.CpuRealtimePeriod", values.integer)),
    "cpu-rt-runtime": _granted(one("HostConfig.CpuRealtimeRuntime", values.integer)),
    "cpu-shares": _granted(one("HostConfig.CpuShares", values.integer), short="c", is_free=values.is_usual_share),
    "cpus": Flag(one("HostConfig.NanoCpus", values.nano_cpus)),
    "cpuset-cpus": Flag(one("HostConfig.CpusetCpus")),
    "cpuset-mems": Flag(one("HostConfig.CpusetMems")),
    "detach-keys": _SILENT,
    "device": Flag(actions.device),
    "device-cgroup-rule": _granted(many("HostConfig.DeviceCgroupRules")),
    "device-read-bps": Flag(many("HostConfig.BlkioDeviceReadBps", values.device_rate)),
    "device-read-iops": Flag(many("HostConfig.BlkioDeviceReadIOps", values.device_rate)),
    "device-write-bps": Flag(many("HostConfig.BlkioDeviceWriteBps", values.device_rate)),
    "device-write-iops": Flag(many("HostConfig.BlkioDeviceWriteIOps", values.device_rate)),
    "disable-content-trust": _SILENT_SWITCH,
    "dns": Flag(many("HostConfig.Dns")),
    "dns-option": Flag(many("HostConfig.DnsOptions")),
    "dns-search": Flag(many("HostConfig.DnsSearch")),
    "domainname": Flag(one("Domainname")),
    # An empty one takes away the image's.
    "entrypoint": Flag(one("Entrypoint", lambda value: [value and values.text(value)])),
    "env": Flag(actions.env, short="e"),
    "env-file": Flag(actions.env_file),
    "expose": Flag(actions.expose),
    "group-add": _granted(many("HostConfig.GroupAdd")),
    "health-cmd": Flag(actions.health_command),
    "health-interval": Flag(one("Healthcheck.Interval", values.nanoseconds)),
    "health-retries": Flag(one("Healthcheck.Retries", values.integer)),
    "health-start-interval": Flag(one("Healthcheck.StartInterval", values.nanoseconds)),
    "health-start-period": Flag(one("Healthcheck.StartPeriod", values.nanoseconds)),
    "health-timeout": Flag(one("Healthcheck.Timeout", values.nanoseconds)),
    "hostname": Flag(one("Hostname"), short="h"),
    "init": switched("HostConfig.Init"),
    "interactive": Flag(without_effect, short="i", is_switch=True),
    "ip": _granted(actions.endpoint("IPv4Address")),
    "ip6": _granted(actions.endpoint("IPv6Address")),
    "ipc": _granted(actions.ipc, is_free=lambda value: value in _PRIVATE_IPC),
    "label": _granted(actions.label, short="l"),
    "link": _granted(many("HostConfig.Links")),
    "link-local-ip": _granted(actions.link_local),
    "mac-address": _granted(one("MacAddress")),
    "memory": Flag(one("HostConfig.Memory", values.size), short="m"),
    "memory-reservation": Flag(one("HostConfig.MemoryReservation", values.size)),
    "memory-swap": Flag(one("HostConfig.MemorySwap", values.size_or_unlimited)),
    "memory-swappiness": Flag(one("HostConfig.MemorySwappiness", values.integer)),
    "mount": Flag(actions.mount),
    "name": Flag(actions.name),
    "network": _granted(actions.network, NETWORKS),
    "network-alias": Flag(actions.alias),
    "no-healthcheck": Flag(actions.no_health, is_switch=True),
    "oom-kill-disable": _granted(one("HostConfig.OomKillDisable", values.switch), is_switch=True),
    "oom-score-adj": _granted(one("HostConfig.OomScoreAdj", values.integer)),
    "pid": _granted(one("HostConfig.PidMode")),
    "pids-limit": Flag(one("HostConfig.PidsLimit", values.integer)),
    "platform": Flag(actions.platform),
    "privileged": _granted(one("HostConfig.Privileged", values.switch), is_switch=True),
    "publish": _granted(actions.publish, short="p"),
    "publish-all": _granted(one("HostConfig.PublishAllPorts", values.switch), short="P", is_switch=True),
    "pull": Flag(actions.pull),
    "quiet": Flag(without_effect, short="q", is_switch=True),
    "read-only": switched("HostConfig.ReadonlyRootfs"),
    "rm": _SILENT_SWITCH,
    "runtime": _granted(one("HostConfig.Runtime")),
    "security-opt": _granted(actions.security, is_free=lambda value: value in _NO_NEW_PRIVILEGES),
    "shm-size": Flag(one("HostConfig.ShmSize", values.size)),
    "sig-proxy": _SILENT_SWITCH,
    "stop-signal": Flag(one("StopSignal")),
    "stop-timeout": Flag(one("StopTimeout", values.stop_seconds)),
    "storage-opt": Flag(actions.storage),
    "sysctl": _granted(pairs("HostConfig.Sysctls")),
    "tmpfs": Flag(actions.tmpfs),
    "tty": Flag(one("Tty", values.switch), short="t", is_switch=True),
    "ulimit": _granted(many("HostConfig.Ulimits", values.ulimit), is_free=values.is_no_real_time),
    "user": _granted(one("User"), USERS, short="u"),
    "userns": _granted(one("HostConfig.UsernsMode")),
    "uts": _granted(one("HostConfig.UTSMode")),
    "volume": Flag(actions.volume, short="v"),
    "volume-driver": _granted(one("HostConfig.VolumeDriver")),
    "volumes-from": _granted(many("HostConfig.VolumesFrom")),
    "workdir": Flag(one("WorkingDir"), short="w"),
}

#: Other words for the same flags.
ALIASES = {
    "dns-opt": "dns-option",
    "net": "network",
    "net-alias": "network-alias",
    **{flag.short: name for name, flag in FLAGS.items() if flag.short},
}

_WINDOWS = "it is for Windows alone"
_FOLLOWED = "the agent follows the output through the engine's own log, whose size it limits"

#: Flags of Docker that are given to no job under any policy, and why.
REFUSED: dict[str, str] = {
    "cidfile": "no file of the host is written for a job; launchd status names its container",
    "cpu-count": _WINDOWS,
    "cpu-percent": _WINDOWS,
    "d": "the agent follows a job to its end in any case",
    "detach": "the agent follows a job to its end in any case",
    "io-maxbandwidth": _WINDOWS,
    "io-maxiops": _WINDOWS,
    "isolation": _WINDOWS,
    "kernel-memory": "Docker has given it up",
    "label-file": "no file of the host is read for it; write the labels out with label",
    "log-driver": _FOLLOWED,
    "log-opt": _FOLLOWED,
    "restart": "the engine must not start a job a second time; the agent and its queue decide about that",
}


def translate(args: Mapping[str, Any]) -> ContainerRequest:
    """Return what ``args``, the resource args for `local-container`, ask for.

    Keys are Docker's long or short names, with dashes or underscores. A list repeats a flag, ``true`` sets a switch;
    ``false``, ``null`` and an empty list are as if the flag were not there.

    Raises:
        InvalidSpec: there is no such flag, it is not given to jobs, or its value cannot be used; by name.
    """
    draft = Draft()
    for key, value in args.items():
        if flag_name(str(key)) not in READ_ELSEWHERE:
            _apply(draft, str(key), value)
    return draft.finish()


def flag_name(key: str) -> str:
    """Return the name of a flag for a key of resource args: dashes for underscores, the long name for a letter."""
    bare = key.strip().lstrip("-").replace("_", "-")
    name = bare if len(bare) == 1 else bare.lower()
    return ALIASES.get(name, name)


def _apply(draft: Draft, key: str, value: Any) -> None:
    name = flag_name(key)
    texts = _texts(key, value)
    if not texts:
        return
    if name in REFUSED:
        raise InvalidSpec(f"{_place(key)} is not given to jobs: {REFUSED[name]}.", hint="Leave it out.")
    flag = FLAGS.get(name)
    if flag is None:
        raise _unknown(key, name)
    for text in texts:
        try:
            _apply_text(draft, name, flag, text)
        except ValueError as error:
            raise InvalidSpec(f"{_place(key)} {error}, not {text!r}.", hint="Correct it and launch again.") from error


def _apply_text(draft: Draft, name: str, flag: Flag, text: str) -> None:
    if text == _ON and not flag.is_switch:
        raise ValueError("must have a value")
    word = "true" if text == _ON else text
    if flag.is_switch and not values.switch(word):
        flag.apply(draft, name, "false")
        return
    flag.apply(draft, name, word)
    if flag.rule is not None and not (flag.is_free and flag.is_free(word)):
        draft.asks.append(Ask(name, word, flag.rule))


#: Stands for YAML's ``true``, which no text is.
_ON = "\0on"


def _texts(key: str, value: Any) -> list[str]:
    """Return the values of a flag as texts, as a command line has them."""
    match value:
        case None:
            return []
        case False:
            # Some switches are on where nothing is said.
            return ["false"] if flag_name(key) in FLAGS and FLAGS[flag_name(key)].is_switch else []
        case True:
            return [_ON]
        case list():
            return [_scalar(key, one_value) for one_value in value]
        case _:
            return [_scalar(key, value)]


def _scalar(key: str, value: Any) -> str:
    match value:
        case str():
            return value
        case float() if value.is_integer():
            return str(int(value))
        case int() | float() if type(value) is not bool:
            return str(value)
        case _:
            raise InvalidSpec(
                f"{_place(key)} must be text, a number, true, or a list of texts.",
                hint='Write variables and the like as a list, as in ["NAME=VALUE"].',
            )


def _unknown(key: str, name: str) -> InvalidSpec:
    known = [*FLAGS, *REFUSED]
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "See the table of flags in docs/docker.md."
    return InvalidSpec(f"{_place(key)} is no flag of docker run that this agent knows.", hint=hint)


def _place(key: str) -> str:
    return f"resource_args.local-container.{key}"
