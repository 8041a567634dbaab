"""A request for a container in the making, and how a flag's value gets into a field of it. Pure."""

from collections.abc import Callable
from typing import Any

from workers.docker import values
from workers.docker.request import Ask, Bind, ContainerRequest, Device, EnvFile


class Draft:
    """A request in the making."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        self.endpoint: dict[str, Any] = {}
        self.asks: list[Ask] = []
        self.binds: list[Bind] = []
        self.devices: list[Device] = []
        self.env_files: list[EnvFile] = []
        self.variables: list[str] = []
        self.pull: str | None = None
        self.platform: str | None = None

    def put(self, field: str, value: Any) -> None:
        """Set a field, by its dotted name."""
        section, name = self._section(field)
        section[name] = value

    def append(self, field: str, value: Any) -> None:
        """Add to a field that holds a list."""
        section, name = self._section(field)
        section.setdefault(name, []).append(value)

    def enter(self, field: str, key: str, value: Any) -> None:
        """Set a key of a field that holds a mapping."""
        section, name = self._section(field)
        section.setdefault(name, {})[key] = value

    def finish(self) -> ContainerRequest:
        """Return the whole request."""
        if self.endpoint:
            network = self.config.get("HostConfig", {}).get("NetworkMode", "bridge")
            self.config["NetworkingConfig"] = {"EndpointsConfig": {network: self.endpoint}}
        return ContainerRequest(
            config=self.config,
            asks=tuple(self.asks),
            binds=tuple(self.binds),
            devices=tuple(self.devices),
            env_files=tuple(self.env_files),
            variables=tuple(self.variables),
            pull=self.pull,
            platform=self.platform,
        )

    def _section(self, field: str) -> tuple[dict[str, Any], str]:
        *sections, name = field.split(".")
        section = self.config
        for part in sections:
            section = section.setdefault(part, {})
        return section, name


#: Writes one value of a flag, by the flag's name, into a draft; raises ``ValueError`` with the end of a sentence.
Apply = Callable[[Draft, str, str], None]
Read = Callable[[str], Any]


def one(field: str, read: Read = values.text) -> Apply:
    """Set ``field``; the last value counts."""

    def apply(draft: Draft, _flag: str, value: str) -> None:
        draft.put(field, read(value))

    return apply


def many(field: str, read: Read = values.text) -> Apply:
    """Add each value to the list ``field``."""

    def apply(draft: Draft, _flag: str, value: str) -> None:
        draft.append(field, read(value))

    return apply


def pairs(field: str) -> Apply:
    """Enter ``NAME=VALUE`` into the mapping ``field``."""

    def apply(draft: Draft, _flag: str, value: str) -> None:
        draft.enter(field, *values.pair(value))

    return apply


def without_effect(_draft: Draft, _flag: str, _value: str) -> None:
    """Do nothing: what the flag says holds already, or is about the command line alone."""
