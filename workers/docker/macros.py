"""Macros in the arguments of containers. Pure."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from ipc.errors import InvalidSpec
from ipc.run_spec import RunSpec
from workers.macros import filled, macros_of


def fill(
    args: Any, spec: RunSpec, image: str, host_variables: Iterable[str], host: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return ``args`` with the macros in its texts filled; see :mod:`workers.macros`.

    Raises:
        InvalidSpec: ``args`` is no mapping.
    """
    if args is None:
        return {}
    if not isinstance(args, dict):
        raise InvalidSpec("resource_args.local-container must be a mapping of flags to values.")
    macros = macros_of(spec, image, host_variables, host)
    return {key: filled(value, macros) for key, value in args.items()}
