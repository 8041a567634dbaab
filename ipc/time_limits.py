"""How long a job may run at the most, as its submitter asks for it. Pure."""

import re
from typing import Any

from ipc.errors import InvalidSpec
from ipc.own_args import MAX_RUNTIME, own_args, place_of
from ipc.run_spec import RunSpec

#: No limit is longer: ten years.
MAX_SECONDS = 10 * 365 * 86400.0

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds in a text such as ``90``, ``90s``, ``30m``, ``1h30m`` or ``2d``.

    Raises:
        ValueError: it is none, or not above 0; the message is the end of a sentence ("must be ...").
    """
    match = _DURATION.fullmatch(text.strip().lower())
    numbers = zip(match.groups("0"), _UNITS.values(), strict=True) if match else ()
    return _bounded(sum(int(number) * unit for number, unit in numbers))


def _bounded(seconds: float) -> float:
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError('must be a time above 0, such as 5400 (seconds), "90m" or "1h30m"')
    return float(seconds)


def time_limit(spec: RunSpec) -> float | None:
    """Return the seconds that the job of ``spec`` is to run at the most, by its submitter; None for no such limit.

    It stands in the resource args of the job's resource, as ``launchd: {max_runtime_seconds: 5400}``, where a text such
    as ``"1h30m"`` counts too.

    Raises:
        InvalidSpec: the value is no such time, or the section has another key; the message names the key.
    """
    value = own_args(spec).get(MAX_RUNTIME)
    return None if value is None else _read(value, place_of(spec, MAX_RUNTIME))


def _read(value: Any, place: str) -> float:
    try:
        match value:
            case str():
                return parse_duration(value)
            case int() | float() if type(value) is not bool:
                return _bounded(value)
            case _:
                return _bounded(0)
    except ValueError as error:
        raise InvalidSpec(f"{place} in the run spec {error}.", hint="Correct it and launch again.") from error
