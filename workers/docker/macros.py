"""Macros in resource args: ``${run_id}`` and the like, as W&B's agent fills them. Pure."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ipc.errors import InvalidSpec
from ipc.run_spec import RunSpec

_MACRO = re.compile(r"\$\{(\w+)\}")


def fill(
    args: Any, spec: RunSpec, image: str, host_variables: Iterable[str], host: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return ``args`` with the macros in its texts filled; a name that is not known stays as it is.

    Beside those about the run there are the host's variables, of which W&B's agent gives all: here, those in
    ``host_variables``.

    Raises:
        InvalidSpec: ``args`` is no mapping.
    """
    if args is None:
        return {}
    if not isinstance(args, dict):
        raise InvalidSpec("resource_args.local-container must be a mapping of flags to values.")
    macros = _about(spec, image) | {name: host[name] for name in host_variables if name in host}
    return {key: _filled(value, macros) for key, value in args.items()}


def _about(spec: RunSpec, image: str) -> dict[str, str]:
    return {
        "project_name": spec.project,
        "entity_name": spec.entity,
        "run_id": spec.run_id,
        "run_name": str(spec.name),
        "image_uri": image,
        "author": str(spec.author),
    }


def _filled(value: Any, macros: Mapping[str, str]) -> Any:
    match value:
        case str():
            return _MACRO.sub(lambda match: macros.get(match[1], match[0]), value)
        case list():
            return [_filled(one, macros) for one in value]
        case _:
            return value
