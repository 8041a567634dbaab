"""The settings in effect, one by one: the name in the file, the value, and where it comes from.

Pure: it reads what the loader has kept, and no file.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ipc.settings import UserNumbers
from launchd.config.diagnostics import DEFAULT
from launchd.config.keys import BUILDER, REGISTRY
from launchd.config.loader import LoadedConfig

#: Names in the file that differ from those of the fields.
_SPELLINGS = {
    f"{section}.{key.replace('-', '_')}": f"{section}.{key}"
    for section, table in (("builder", BUILDER), ("registry", REGISTRY))
    for key in table
}

#: Keys that stand for others, by the name of those.
_OTHER_NAMES = {"queues": "queue", "registry.repository": "registry.repo_name"}

_BY_QUEUE = ("launchd.policy.queues", "launchd.jobs.queues")


class Setting(msgspec.Struct, frozen=True):
    """One setting: its dotted name, its value as JSON has it, and its origin.

    ``origin`` is `file:line`, a variable, a flag or `default`; where the value follows from another setting, its origin
    with the name of that one.
    """

    name: str
    value: Any
    origin: str


def settings(loaded: LoadedConfig) -> Iterator[Setting]:
    """Yield every setting of a configuration; those of a section that is left out as one, which is null."""
    for name, value in _leaves("", loaded.config):
        yield Setting(name, value, _origin(name, loaded))


def _leaves(prefix: str, section: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    for field in section.__struct_fields__:
        name = _SPELLINGS.get(f"{prefix}{field}", f"{prefix}{field}")
        yield from _of_value(name, getattr(section, field))


def _of_value(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case UserNumbers(first=first, last=last):
            yield name, f"{first}-{last}"
        case msgspec.Struct():
            yield from _leaves(f"{name}.", value)
        case Mapping() if name in _BY_QUEUE:
            for queue, rules in value.items():
                yield from _leaves(f"{name}.{queue}.", rules)
        case _:
            yield name, msgspec.to_builtins(value)


def _origin(name: str, loaded: LoadedConfig) -> str:
    given = (loaded.given.get(each) for each in (name, _OTHER_NAMES.get(name, "")))
    return next((origin for origin in given if origin), loaded.derived.get(name, DEFAULT))
