"""Macros in resource args: ``${run_id}`` and the like, as W&B's agent fills them. Pure."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ipc.run_spec import RunSpec

_MACRO = re.compile(r"\$\{(\w+)\}")


def macros_of(
    spec: RunSpec, image: str, host_variables: Iterable[str], host: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the macros by name: those about the run, and in their place the host's variables.

    W&B's agent gives all variables of the host; here they are those in ``host_variables``.
    """
    return _about(spec, image) | {name: host[name] for name in host_variables if name in host}


def filled(value: Any, macros: Mapping[str, str]) -> Any:
    """Return ``value`` with the macros in its texts filled, at any depth; a name that is not known stays as it is."""
    match value:
        case str():
            return _MACRO.sub(lambda match: macros.get(match[1], match[0]), value)
        case list():
            return [filled(one, macros) for one in value]
        case dict():
            return {key: filled(one, macros) for key, one in value.items()}
        case _:
            return value


def _about(spec: RunSpec, image: str) -> dict[str, str]:
    return {
        "project_name": spec.project,
        "entity_name": spec.entity,
        "run_id": spec.run_id,
        "run_name": str(spec.name),
        "image_uri": image,
        "author": str(spec.author),
    }
