"""Volumes, mounts and devices as `docker run` writes them. Pure; no path of the host is looked at.

What can reach the host by options of its own (propagation into the host, drivers of volumes and their options) is no
mount that is known here.
"""

import re
from typing import Any

import msgspec

from workers.docker import values
from workers.docker.request import Device, HostPath

BIND, VOLUME, TMPFS = "bind", "volume", "tmpfs"

_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", re.ASCII)
_PERMISSIONS = re.compile(r"[rwm]{1,3}", re.ASCII)
#: What keeps the host's mounts and the container's apart; the engine's default.
_APART = ("private", "rprivate")
#: Of Docker for the Mac; they mean nothing on Linux.
_IGNORED = ("consistent", "cached", "delegated", "rw")

_ALIASES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_SWITCHES = ("readonly", "bind-nonrecursive", "volume-nocopy")
_KNOWN = {
    BIND: {"bind-propagation", "bind-nonrecursive"},
    VOLUME: {"volume-nocopy"},
    TMPFS: {"tmpfs-size", "tmpfs-mode"},
}
_COMMON = {"type", "source", "target", "readonly", "consistency"}


class Mount(msgspec.Struct, frozen=True):
    """A mount: ``source`` is a path of the host or the name of a volume, empty for a new one without a name.

    ``options`` are the Engine API's ``BindOptions``, ``VolumeOptions`` or ``TmpfsOptions``.
    """

    kind: str
    source: str
    target: str
    read_only: bool = False
    relabel: str = ""
    options: dict[str, Any] = {}

    def engine_fields(self) -> dict[str, Any]:
        """Return the entry of ``Mounts``."""
        fields: dict[str, Any] = {"Type": self.kind, "Target": self.target, "ReadOnly": self.read_only}
        if self.source:
            fields["Source"] = self.source
        if self.options:
            fields[f"{self.kind.capitalize()}Options"] = self.options
        return fields


def parse_volume(value: str) -> Mount:
    """Return the mount that ``[SOURCE:]TARGET[:OPTIONS]`` means; raises ``ValueError``."""
    parts = value.split(":")
    match parts:
        case [target]:
            return Mount(VOLUME, "", values.absolute(target))
        case [source, target]:
            return _volume(source, target, ())
        case [source, target, options]:
            return _volume(source, target, tuple(options.split(",")))
        case _:
            raise ValueError("must be SOURCE:TARGET or SOURCE:TARGET:OPTIONS")


def _volume(source: str, target: str, options: tuple[str, ...]) -> Mount:
    read_only, relabel, nocopy = False, "", False
    for option in options:
        match option:
            case "ro":
                read_only = True
            case "z" | "Z":
                relabel = option
            case "nocopy":
                nocopy = True
            case _ if option not in (*_IGNORED, *_APART):
                raise ValueError(
                    f"has the option {option!r}, which is not given to jobs: it may be ro, rw, z, Z, nocopy"
                )
    if source.startswith("/"):
        return Mount(BIND, values.absolute(source), values.absolute(target), read_only, relabel)
    return Mount(
        VOLUME, _volume_name(source), values.absolute(target), read_only, options={"NoCopy": True} if nocopy else {}
    )


def _volume_name(name: str) -> str:
    if not _VOLUME_NAME.fullmatch(name):
        raise ValueError("must have an absolute path of the host, or the name of a volume, as its source")
    return name


def parse_mount(value: str) -> Mount:
    """Return the mount that ``type=bind,source=...,target=...`` means; raises ``ValueError``."""
    fields = {_ALIASES.get(key, key): text for key, text in values.fields(value).items()}
    kind = fields.get("type", VOLUME)
    if kind not in _KNOWN:
        raise ValueError(f"must be of the type {', '.join(_KNOWN)}")
    for key in fields:
        if key not in _COMMON | _KNOWN[kind]:
            raise ValueError(f"has the option {key!r}, which is not given to jobs")
    switches = {key: values.switch(fields[key]) for key in _SWITCHES if key in fields}
    target = values.absolute(fields.get("target", ""))
    return Mount(
        kind, _mount_source(kind, fields), target, switches.get("readonly", False), options=_options(fields, switches)
    )


def _mount_source(kind: str, fields: dict[str, str]) -> str:
    source = fields.get("source", "")
    if kind == BIND:
        return values.absolute(source)
    if kind == TMPFS and source:
        raise ValueError("must have no source: a tmpfs has none")
    return _volume_name(source) if source else ""


def _options(fields: dict[str, str], switches: dict[str, bool]) -> dict[str, Any]:
    if fields.get("bind-propagation", _APART[0]) not in _APART:
        raise ValueError("must not propagate mounts to the host: bind-propagation may be private or rprivate")
    options: dict[str, Any] = {}
    if switches.get("bind-nonrecursive"):
        options["NonRecursive"] = True
    if switches.get("volume-nocopy"):
        options["NoCopy"] = True
    if "tmpfs-size" in fields:
        options["SizeBytes"] = values.size(fields["tmpfs-size"])
    if "tmpfs-mode" in fields:
        options["Mode"] = values.mode(fields["tmpfs-mode"])
    return options


def parse_device(flag: str, value: str) -> Device:
    """Return the device that ``PATH[:TARGET][:PERMISSIONS]`` means; raises ``ValueError``."""
    parts = value.split(":")
    path = values.absolute(parts[0])
    permissions = "rwm"
    if len(parts) > 1 and _PERMISSIONS.fullmatch(parts[-1]):
        permissions = parts.pop()
    match parts:
        case [_]:
            return Device(flag, HostPath(path), path, permissions)
        case [_, target]:
            return Device(flag, HostPath(path), values.absolute(target), permissions)
        case _:
            raise ValueError("must be PATH, PATH:TARGET or PATH:TARGET:PERMISSIONS")
