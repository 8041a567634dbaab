"""What callers pass as configuration, made of JSON's own types: numbers of numpy, paths, other mappings.

Owns which types count as which; what JSON cannot hold is refused with its place, before anything is sent.
"""

import math
import os
from collections.abc import Mapping
from typing import Any

from launchd.api.errors import LaunchError


def as_mapping(value: object, what: str) -> dict[str, Any]:
    """Return a deep copy of ``value`` in JSON's types, empty for ``None``; W&B changes its caller's.

    Raises:
        LaunchError: it is no mapping, or JSON cannot hold it; ``what`` is its name.
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
            return [_plain(inner, f"{what}[{place}]") for place, inner in enumerate(value)]
        case os.PathLike():
            return os.fspath(value)
        case _ if hasattr(value, "tolist"):
            # numpy's numbers and arrays, and most others' tensors.
            return _plain(value.tolist(), what)
        case _:
            raise LaunchError(f"{what} is {value!r}, which JSON cannot hold.")
