"""Keys of a sweep's configuration that mean nothing where they stand: named with their place and the nearest right one.

What can be read all the same is read: sweeps that were made before keep their configuration.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from launchd.config.diagnostics import nearest_name

#: As in W&B's documentation of sweep configurations; its clients and schedulers read those that this server does not.
_TOP = (
    "method", "parameters", "metric", "early_terminate", "run_cap", "name", "description", "program", "command",
    "project", "entity", "job", "image_uri", "launch", "scheduler", "settings", "controller", "queue", "resource",
)  # fmt: skip
_METRIC = ("name", "goal", "target", "impute", "impute_while_running")
_PARAMETER = (
    "value", "values", "distribution", "min", "max", "mu", "sigma", "q", "a", "b", "probabilities", "parameters",
)  # fmt: skip
#: Of these a parameter has one.
_KINDS = ("value", "values", "parameters")
_MOST_SHOWN = 20


def without_effect(given: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each key outside of the parameters that has no effect, of the first 20."""
    metric = given.get("metric")
    found = [*_unknown(given, "", _TOP), *_unknown(metric if isinstance(metric, dict) else {}, "metric", _METRIC)]
    return [f"{sentence} It has no effect." for sentence in found[:_MOST_SHOWN]]


def in_parameters(given: object, above: str = "parameters") -> Iterator[str]:
    """Yield a sentence for each key inside of the parameters that cannot be meant as it is written."""
    for name, spec in given.items() if isinstance(given, dict) else ():
        if isinstance(spec, dict):
            yield from _in_parameter(spec, f"{above}.{name}")


def _in_parameter(spec: Mapping[str, Any], place: str) -> Iterator[str]:
    if spec and not any(key in _PARAMETER for key in spec) and all(isinstance(it, dict) for it in spec.values()):
        yield f"{place[:100]} has parameters of its own: they stand below the key 'parameters' of {place[:100]}."
        return
    yield from _unknown(spec, place, _PARAMETER)
    both = [key for key in _KINDS if key in spec]
    if len(both) > 1:
        yield f"{place[:100]} has both {both[0]!r} and {both[1]!r}; it can have only one of them."
    yield from in_parameters(spec.get("parameters"), f"{place}.parameters")


def _unknown(given: Mapping[str, Any], place: str, known: Iterable[str]) -> Iterator[str]:
    for key in map(str, given):
        if key not in known:
            where = f"{place[:100]} has the key" if place else "The sweep's config has the key"
            meant = nearest_name(key[:40], known)
            hint = f"; the nearest is {meant!r}" if meant else f"; known are {', '.join(known)}"
            yield f"{where} {key[:40]!r}, which is not known{hint}."
