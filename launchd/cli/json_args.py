"""JSON arguments of the command line, given as text or as a file."""

import json
import math
from pathlib import Path
from typing import Any, NoReturn

import click

from ipc.targets import find_target


def json_mapping(given: str, flag: str) -> dict[str, Any]:
    """Return the JSON object in ``given``, which is its text, or the path of a file with it.

    Raises:
        click.BadParameter: it is neither, or no object; the message names ``flag``.
    """
    text = given if given.lstrip().startswith("{") else _content(given, flag)
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"it is not JSON: {error}.", param_hint=flag) from error
    if not isinstance(value, dict):
        raise click.BadParameter("it must be a JSON object.", param_hint=flag)
    return value


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    # Python reads these; on the way to the server each would become null.
    raise ValueError(f"{text} is a number that JSON cannot hold; in quotes it is text")


def resource_arguments(given: str, flag: str, resource: str) -> dict[str, Any]:
    """Return the arguments of ``resource`` in ``given``: alone, or as a run spec has them, below the resource's name.

    Raises as :func:`json_mapping`.
    """
    value = json_mapping(given, flag)
    target = find_target(resource)
    words = (resource,) if target is None else target.words
    for outer in (("resource_args",), words):
        inner = next((value[word] for word in outer if value.keys() == {word}), None)
        value = inner if isinstance(inner, dict) else value
    return value


def _content(path: str, flag: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path!r} is neither a JSON object nor a readable file.", param_hint=flag) from error
