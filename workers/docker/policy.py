"""What of a request the administrator of this host has granted: ``launchd.policy.containers``.

Pure functions over a request whose paths were followed to their ends. Strict: what no rule grants is refused, by the
key that asked, the rule, and the file that would allow it.
"""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TypeVar

import msgspec

from ipc.policy_rules import ContainerRules
from workers.docker.images import ImageName
from workers.docker.request import (
    BY_FLAG,
    CAPABILITIES,
    HOST_VARIABLES,
    NETWORKS,
    USERS,
    VOLUMES,
    Ask,
    Bind,
    ContainerRequest,
    Device,
    EnvFile,
)
from workers.docker.values import capability

Part = TypeVar("Part")

_PLACE = "launchd.policy.containers"
_READ_WRITE, _READ_ONLY = ":rw", ":ro"
#: These networks are the host's own, and another container's: a pattern does not grant them, their names do.
_HOST_NETWORK, _CONTAINER_NETWORK = "host", "container:"
_EVERY_CAPABILITY = "ALL"
_USUAL_PERMISSIONS = "rwm"
#: A job that is granted this flag for any value is root on the host.
_ROOT_FLAG = "privileged"


class Facts(msgspec.Struct, frozen=True):
    """What the host's administrator cannot mean to hand out with a directory around it.

    ``engine_sockets`` make a job root on this host; ``agent_directories`` hold the keys of other jobs.
    """

    engine_sockets: tuple[str, ...] = ()
    agent_directories: tuple[str, ...] = ()


def refuse_image(image: ImageName, rules: ContainerRules) -> str | None:
    """Return why this host does not run the image, or ``None``."""
    if any(image.matches(pattern) for pattern in rules.images):
        return None
    return _sentence(f"The image {image}", "images", rules.images)


def refusals(request: ContainerRequest, rules: ContainerRules, facts: Facts) -> list[str]:
    """Return a sentence for each thing of a request that is not granted; its paths have been followed."""
    return [
        *_by(_refuse_ask, request.asks, rules),
        *_by(lambda bind, granted: _refuse_bind(bind, granted, facts), request.binds, rules),
        *_by(_refuse_device, request.devices, rules),
        *_by(_refuse_env_file, request.env_files, rules),
    ]


def refuse_variable(name: str, rules: ContainerRules) -> str | None:
    """Return why a job does not get the host's variable ``name``, or ``None``."""
    return _refuse_ask(Ask("env-file", name, HOST_VARIABLES), rules)


def _by(
    judge: Callable[[Part, ContainerRules], str | None], parts: Sequence[Part], rules: ContainerRules
) -> Iterator[str]:
    yield from filter(None, (judge(part, rules) for part in parts))


# -- flags


def _refuse_ask(ask: Ask, rules: ContainerRules) -> str | None:
    granted: Sequence[str] = getattr(rules, ask.rule)
    if _IS_GRANTED[ask.rule](ask, granted):
        return None
    value = f" {ask.value}" if ask.value != "true" else ""
    return _sentence(f"{ask.flag}{value}", ask.rule, granted)


def _flag_is_granted(ask: Ask, granted: Sequence[str]) -> bool:
    return any(_covers(pattern, ask) for pattern in granted)


def _covers(pattern: str, ask: Ask) -> bool:
    flag, equals, value = pattern.partition("=")
    return flag == ask.flag and (not equals or fnmatchcase(ask.value, value))


def _network_is_granted(ask: Ask, granted: Sequence[str]) -> bool:
    if ask.value == _HOST_NETWORK or ask.value.startswith(_CONTAINER_NETWORK):
        return ask.value in granted
    return _is_named(ask, granted)


def _capability_is_granted(ask: Ask, granted: Sequence[str]) -> bool:
    names = [capability(name) for name in granted]
    return capability(ask.value) in names or _EVERY_CAPABILITY in names


def _is_named(ask: Ask, granted: Sequence[str]) -> bool:
    return any(fnmatchcase(ask.value, pattern) for pattern in granted)


_IS_GRANTED: dict[str, Callable[[Ask, Sequence[str]], bool]] = {
    BY_FLAG: _flag_is_granted,
    NETWORKS: _network_is_granted,
    CAPABILITIES: _capability_is_granted,
    USERS: _is_named,
    VOLUMES: _is_named,
    HOST_VARIABLES: lambda ask, granted: ask.value in granted,
}


# -- mounts


def _refuse_bind(bind: Bind, rules: ContainerRules, facts: Facts) -> str | None:
    source = bind.source.resolved
    if source is None:
        return f"{bind.flag} names {bind.source.written}, which is not there on this host."
    wanted = f"{bind.flag} {_named(bind)}"
    return (
        _refuse_secrets(wanted, source, facts)
        or _refuse_engine_socket(wanted, source, rules, facts)
        or _refuse_ungranted(wanted, bind, source, rules)
        or _refuse_swappable(wanted, source, rules)
        or _refuse_writable_below(wanted, bind, source, rules)
    )


def _refuse_secrets(wanted: str, source: str, facts: Facts) -> str | None:
    if any(_overlap(source, directory) for directory in facts.agent_directories):
        return f"{wanted} reaches the agent's own files, with the keys of other jobs; no policy grants that."
    return None


def _refuse_engine_socket(wanted: str, source: str, rules: ContainerRules, facts: Facts) -> str | None:
    held = [socket for socket in facts.engine_sockets if _is_within(socket, source)]
    by_name = {_grant(text)[0] for text in rules.mounts}
    if not held or (source in held and source in by_name):
        return None
    return (
        f"{wanted} holds the container engine's socket {held[0]}, which makes a job root on this host;"
        f" {_PLACE}.mounts in launch-config.yaml grants it only where it names the socket itself."
    )


def _refuse_ungranted(wanted: str, bind: Bind, source: str, rules: ContainerRules) -> str | None:
    around = [grant for grant in map(_grant, rules.mounts) if _is_within(source, grant[0])]
    if not around:
        return _sentence(wanted, "mounts", rules.mounts)
    if bind.relabel and ":" in source:
        # The engine takes labels in a text with colons between its parts.
        return f"{wanted} has a colon in its path, and cannot be given a label."
    writable = any(is_writable for _, is_writable in around)
    if writable or (bind.read_only and not bind.relabel):
        return None
    how = "only to be read" if not bind.read_only else "without a change of its labels"
    return (
        f"{wanted} is granted {how} on this host"
        f" (add :ro to the mount, or :rw to the path in {_PLACE}.mounts in launch-config.yaml)."
    )


def _refuse_swappable(wanted: str, source: str, rules: ContainerRules) -> str | None:
    """A job that may write above the source can make a link of it before the engine goes there.

    That gives nothing to jobs that may be root on the host.
    """
    if _ROOT_FLAG in rules.flags:
        return None
    above = [path for path, is_writable in map(_grant, rules.mounts) if is_writable and _is_within(source, path)]
    if all(path == source for path in above):
        return None
    return (
        f"{wanted} lies within {min(above, key=len)}, in which jobs may write, so that one could put a link in its"
        f" place: mount {min(above, key=len)} itself."
    )


def _refuse_writable_below(wanted: str, bind: Bind, source: str, rules: ContainerRules) -> str | None:
    may_write = any(is_writable and _is_within(source, path) for path, is_writable in map(_grant, rules.mounts))
    if may_write or not bind.has_mounts_below:
        return None
    if bind.options.get("NonRecursive"):
        return None
    return (
        f"{wanted} is granted only to be read, and engines leave what is mounted below {source} writable: mount what is"
        " below by itself, or leave it out with type=bind,...,readonly,bind-nonrecursive."
    )


def _named(bind: Bind | Device) -> str:
    written, resolved = bind.source.written, bind.source.resolved
    return written if written.rstrip("/") == resolved or written == resolved else f"{written} (which is {resolved})"


def _grant(text: str) -> tuple[str, bool]:
    """Return a granted path, and whether it may be written to."""
    is_writable = text.endswith(_READ_WRITE)
    path = text.removesuffix(_READ_WRITE).removesuffix(_READ_ONLY)
    return str(PurePosixPath(path)), is_writable


def _is_within(path: str, directory: str) -> bool:
    return PurePosixPath(path).is_relative_to(directory)


def _overlap(one: str, other: str) -> bool:
    return _is_within(one, other) or _is_within(other, one)


# -- devices and files


def _refuse_device(device: Device, rules: ContainerRules) -> str | None:
    source = device.source.resolved
    if source is None:
        return f"{device.flag} names {device.source.written}, which is not there on this host."
    if any(_device_is_granted(source, device.permissions, text) for text in rules.devices):
        return None
    return _sentence(f"{device.flag} {_named(device)}:{device.permissions}", "devices", rules.devices)


def _device_is_granted(source: str, permissions: str, grant: str) -> bool:
    """A star in a granted path stands for a text without slashes."""
    path, colon, allowed = grant.partition(":")
    parts, wanted = source.split("/"), path.split("/")
    return (
        len(parts) == len(wanted)
        and all(fnmatchcase(part, pattern) for part, pattern in zip(parts, wanted, strict=True))
        and set(permissions) <= set(allowed if colon else _USUAL_PERMISSIONS)
    )


def _refuse_env_file(file: EnvFile, rules: ContainerRules) -> str | None:
    source = file.source.resolved
    if source is None:
        return f"env-file names {file.source.written}, which is not there on this host."
    if any(_is_within(source, str(PurePosixPath(granted))) for granted in rules.env_files):
        return None
    return _sentence(f"env-file {file.source.written}", "env_files", rules.env_files)


def _sentence(wanted: str, rule: str, granted: Sequence[str]) -> str:
    only = ", ".join(granted) or "none"
    return f"{wanted} is not granted on this host, which grants: {only} ({_PLACE}.{rule} in launch-config.yaml)."
