"""Samplers: points of a grid by number, and random values, with the distributions as W&B defines them."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from launchd.server.sweeps.config import SweepConfig
from launchd.server.sweeps.parameters import Parameter


def grid_size(config: SweepConfig) -> int:
    """How many points the grid has."""
    return math.prod(_axis_length(parameter) for parameter in config.parameters)


def grid_point(config: SweepConfig, number: int) -> dict[str, Any]:
    """The values of one point, by name of the parameter; the last parameter changes fastest."""
    values: dict[str, Any] = {}
    for parameter in reversed(config.parameters):
        number, place = divmod(number, _axis_length(parameter))
        values[parameter.name] = _axis_value(parameter, place)
    return values


def _axis_length(parameter: Parameter) -> int:
    if parameter.values:
        return len(parameter.values)
    step = parameter.q if parameter.distribution == "q_uniform" else 1
    return int((parameter.high - parameter.low) / step + 1e-9) + 1


def _axis_value(parameter: Parameter, place: int) -> Any:
    if parameter.values:
        return parameter.values[place]
    return parameter.low + place * (parameter.q if parameter.distribution == "q_uniform" else 1)


def sample(config: SweepConfig, random: Random) -> dict[str, Any]:
    """Values at random, by name of the parameter."""
    return {parameter.name: sample_one(parameter, random) for parameter in config.parameters}


def sample_one(parameter: Parameter, random: Random) -> Any:
    """One value of a parameter."""
    if parameter.values:
        return random.choices(parameter.values, parameter.probabilities)[0]
    return quantized(parameter, _SAMPLERS[parameter.family](parameter, random))


def quantized(parameter: Parameter, value: float) -> float:
    """The value, rounded to a multiple of q where the distribution says so."""
    return round(value / parameter.q) * parameter.q if parameter.family != parameter.distribution else value


_SAMPLERS: Mapping[str, Callable[[Parameter, Random], float]] = {
    "int_uniform": lambda it, random: random.randint(math.ceil(it.low), math.floor(it.high)),
    "uniform": lambda it, random: random.uniform(it.low, it.high),
    "log_uniform": lambda it, random: math.exp(random.uniform(it.low, it.high)),
    "log_uniform_values": lambda it, random: math.exp(random.uniform(math.log(it.low), math.log(it.high))),
    "inv_log_uniform": lambda it, random: math.exp(-random.uniform(it.low, it.high)),
    "inv_log_uniform_values": lambda it, random: 1 / math.exp(random.uniform(-math.log(it.high), -math.log(it.low))),
    "normal": lambda it, random: random.gauss(it.mu, it.sigma),
    "log_normal": lambda it, random: random.lognormvariate(it.mu, it.sigma),
    "beta": lambda it, random: random.betavariate(it.a, it.b),
}


def point_key(values: Mapping[str, Any]) -> str:
    """A key that is equal for equal values."""
    return json.dumps({name: canonical(value) for name, value in values.items()}, sort_keys=True)


def canonical(value: Any) -> str:
    """The same text for a value and for its form in a run's configuration, where 1.0 is 1."""
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value


def arguments(config: SweepConfig, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{key: {"value": ...}}` as agents and runs take them; nested parameters become objects again."""
    tree: dict[str, Any] = {}
    for parameter in config.parameters:
        _put(tree, parameter.path, values[parameter.name])
    return {key: {"value": value} for key, value in tree.items()}


def values_of(config: SweepConfig, run_config: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a run, by name, from its configuration; those it lacks are left out."""
    found: dict[str, Any] = {}
    for parameter in config.parameters:
        first, *below = parameter.path
        value = _at(run_config, (first, "value", *below))
        if value is not _MISSING:
            found[parameter.name] = value
    return found


_MISSING = object()


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _at(value: Any, path: Iterable[str]) -> Any:
    for key in path:
        value = value.get(key, _MISSING) if isinstance(value, dict) else _MISSING
    return value
