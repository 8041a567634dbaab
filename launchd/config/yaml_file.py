"""Reads a configuration file: its values, and the line of each.

Owns the limits on size, depth and number of values; has no knowledge of keys. Any content ends in values or in one
:class:`ConfigError`.
"""

import errno
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from launchd.config.diagnostics import ConfigError, Problem
from launchd.config.mistyped import mistyped

MAX_BYTES = 1 << 20

# Far more than a file written by hand has; an alias bomb (aliases of aliases) has more.
MAX_VALUES = 20_000

# libyaml's composer recurses for each level, and 100,000 of them overflow the stack of the process.
MAX_DEPTH = 50

# What libyaml's words mean to people, by how they begin; and whether what is wrong begins where its context does.
_COLUMNS = "Lines of one level begin in one column."
_MEANINGS = {
    "mapping values are not allowed": (f"{_COLUMNS} A text with a colon and a space in it wants quotes.", False),
    "did not find expected key": (_COLUMNS, False),
    "did not find expected '-' indicator": (_COLUMNS, False),
    "could not find expected ':'": ("A key wants a colon and a space behind it.", False),
    "did not find expected ',' or ']'": ("A list that begins with [ ends with ].", True),
    "did not find expected ',' or '}'": ("A mapping that begins with { ends with }.", True),
    "found unexpected end of stream": ("A text that begins with a quote ends with one.", True),
    "found character that cannot start": ("A text that begins with this character wants quotes.", False),
    "found undefined alias": ("A text that begins with * wants quotes.", False),
    "found unknown escape": ("A text with backslashes wants single quotes.", False),
}

_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class YamlFile(msgspec.Struct, frozen=True):
    """The settings of a file; `locations` has `file:line` by dotted name, `repeated` the names that occur twice.

    ``mistyped`` has what looks like YAML in it and is text.
    """

    values: dict[str, Any] = {}
    locations: dict[str, str] = {}
    repeated: tuple[str, ...] = ()
    mistyped: tuple[Problem, ...] = ()


def read_yaml(path: Path) -> YamlFile:
    """Return the settings in the file at `path`.

    Raises:
        ConfigError: it cannot be read, is too large, is not YAML, or is not a mapping.
    """
    text = _read(path)
    slips = mistyped(text, path)
    try:
        return msgspec.structs.replace(_parse(text, path), mistyped=slips)
    except ConfigError as error:
        raise ConfigError(*slips, *error.problems) from error.__cause__


def _parse(text: str, path: Path) -> YamlFile:
    try:
        _check_depth(text)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        if node is None:
            return YamlFile()
        names = list(_locations(node, path))
        values = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_yaml_problem(path, error)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(Problem(str(path), "", "", f"this is no usable YAML ({_one_line(error)})")) from error
    counts = Counter(name for name, _ in names)
    repeated = tuple(name for name, count in counts.items() if count > 1)
    return YamlFile(_mapping(path, values), dict(names), repeated)


def _mapping(path: Path, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        what = "a list" if isinstance(values, list) else "a single value"
        raise ConfigError(Problem(str(path), "", what, "stands where a mapping of settings must be"))
    return {str(key): value for key, value in values.items()}


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        raise ConfigError(Problem(str(path), "", "", f"the file cannot be read ({reason})")) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(Problem(str(path), "", "", "the file is larger than 1 MiB: it is no configuration"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            Problem(str(path), "", "", f"byte {error.start} is not UTF-8: the file is no text")
        ) from error


def _check_depth(text: str) -> None:
    """Raise `ValueError` where values are nested so deep that composing them would overflow the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        if depth > MAX_DEPTH:
            raise ValueError(f"its values are nested deeper than {MAX_DEPTH} levels")


def _locations(node: yaml.Node, path: Path) -> Iterator[tuple[str, str]]:
    """Yield every dotted name with its location; an alias counts each time it is used. `ValueError` for too many."""
    waiting = [("", node, node)]
    seen = 0
    while waiting:
        name, current, begin = waiting.pop()
        seen += 1
        if seen > MAX_VALUES:
            raise ValueError("it unfolds to too many values")
        if name:
            yield name, f"{path}:{begin.start_mark.line + 1}"
        waiting += reversed(list(_children(name, current)))


def _children(name: str, node: yaml.Node) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Yield name, value and first node of each child: a setting begins with its key, which may be lines before it."""
    prefix = f"{name}." if name else ""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{prefix}{key.value}", value, key
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield f"{prefix}{number}", value, value


def _yaml_problem(path: Path, error: yaml.MarkedYAMLError) -> Problem:
    said = error.problem or error.context or ""
    hint, is_of_context = next((_MEANINGS[begin] for begin in _MEANINGS if said.startswith(begin)), ("", False))
    mark = (error.context_mark if is_of_context else None) or error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}" if mark else str(path)
    return Problem(where, "", "", f"this is no usable YAML ({said})", hint)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
