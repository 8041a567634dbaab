"""Macros in resource args: ``${run_id}`` and the like, as W&B's agent fills them, in texts at any depth. Pure."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ipc.run_spec import RunSpec

_MACRO = re.compile(r"\$\{(\w+)\}")


def macros_of(
    spec: RunSpec, image: str | None, host_variables: Iterable[str] = (), host: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the macros of a run by name; without an ``image`` there is no ``image_uri``.

    W&B's agent gives all of its own variables beside them; here, those in ``host_variables``.
    """
    about = {
        "project_name": spec.project,
        "entity_name": spec.entity,
        "run_id": spec.run_id,
        "run_name": str(spec.name),
        "author": str(spec.author),
    }
    if image is not None:
        about["image_uri"] = image
    return about | {name: host[name] for name in host_variables if name in host}


def filled(value: Any, macros: Mapping[str, str]) -> Any:
    """Return ``value`` with the macros in its texts filled; keys, and names that are not known, stay as they are."""
    match value:
        case str():
            return _MACRO.sub(lambda match: macros.get(match[1], match[0]), value)
        case list():
            return [filled(one, macros) for one in value]
        case dict():
            return {key: filled(one, macros) for key, one in value.items()}
        case _:
            return value
