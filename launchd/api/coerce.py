"""Converts a configuration from a caller to JSON's types: numpy's numbers and arrays, paths, other mappings.

Owns which type becomes which; a value that JSON cannot hold is refused with its location, before anything is sent.
"""

import math
import os
from collections.abc import Mapping
from typing import Any

from launchd.api.errors import LaunchError


def as_mapping(value: object, what: str) -> dict[str, Any]:
    """Return a deep copy of ``value`` in JSON's types, empty for ``None``; ``what`` is its name in an error.

    Raises:
        LaunchError: it is no mapping, or JSON cannot hold it.
    """
    match value:
        case None:
            return {}
        case Mapping():
            return {str(key): _plain(inner, f"{what}[{key!r}]") for key, inner in value.items()}
        case _:
            raise LaunchError(f"{what} is a mapping, not {value!r}.")


def _plain(value: Any, what: str) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)
        case int():
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case Mapping():
            return as_mapping(value, what)
        case list() | tuple():
            return [_plain(inner, f"{what}[{index}]") for index, inner in enumerate(value)]
        case os.PathLike():
            return os.fspath(value)
        case _ if hasattr(value, "tolist"):
            # numpy's numbers and arrays, and the tensors of most libraries.
            return _plain(value.tolist(), what)
        case _:
            raise LaunchError(f"{what} is {value!r}, which JSON cannot hold.")
