"""A configuration file as plain values, and where each of them stands.

Owns reading and YAML; knows no key. Whatever the file holds ends in values or in one sentence.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from launchd.config.problems import ConfigError, Problem

MAX_BYTES = 1 << 20

#: A file of people's making has far fewer values; one made to be unfolded (aliases of aliases) has more.
MAX_VALUES = 20_000


def read_document(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the mapping in the file, and for each dotted name `file:line` of its value.

    Raises:
        ConfigError: it cannot be read, is too large, is no YAML, or is no mapping.
    """
    text = _read(path)
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        if node is None:
            return {}, {}
        places = dict(_places(node, path))
        values = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(Problem(str(path), "", f"this is no usable YAML ({_one_line(error)})")) from error
    if not isinstance(values, dict):
        what = "a list" if isinstance(values, list) else "a single value"
        raise ConfigError(Problem(str(path), f"{what} stands where a mapping of settings must be", ""))
    return {str(key): value for key, value in values.items()}, places


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(Problem(str(path), "", f"the file cannot be read ({error.strerror})")) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(Problem(str(path), "", "the file is larger than 1 MiB: it is no configuration"))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(Problem(str(path), "", f"byte {error.start} is no UTF-8: the file is no text")) from error


def _places(node: yaml.Node, path: Path) -> Iterator[tuple[str, str]]:
    waiting = [("", node)]
    seen = 0
    while waiting:
        name, current = waiting.pop()
        seen += 1
        if seen > MAX_VALUES:
            raise ValueError("it unfolds to too many values")
        if name:
            yield name, f"{path}:{current.start_mark.line + 1}"
        waiting += list(_children(name, current))


def _children(name: str, node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    prefix = f"{name}." if name else ""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{prefix}{key.value}", value
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield f"{prefix}{number}", value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
