"""Parameters of a sweep: decoding and checking what a configuration says of them.

Nested parameters (`parameters` inside a parameter) are flattened here; each keeps its path.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from launchd.server.errors import Refused
from launchd.server.sweeps.hyperband import is_number

_MOST_PARAMETERS = 1000
_DEEPEST = 10

CONSTANT, CATEGORICAL = "constant", "categorical"
_NEEDS: Mapping[str, tuple[str, ...]] = {
    CONSTANT: ("value",),
    CATEGORICAL: ("values",),
    "categorical_w_probabilities": ("values", "probabilities"),
    "int_uniform": ("min", "max"),
    "uniform": ("min", "max"),
    "q_uniform": ("min", "max"),
    "log_uniform": ("min", "max"),
    "log_uniform_values": ("min", "max"),
    "q_log_uniform": ("min", "max"),
    "q_log_uniform_values": ("min", "max"),
    "inv_log_uniform": ("min", "max"),
    "inv_log_uniform_values": ("min", "max"),
    "normal": (),
    "q_normal": (),
    "log_normal": (),
    "q_log_normal": (),
    "beta": (),
    "q_beta": (),
}
"""The distributions, and the keys that a parameter of each must have."""


class Parameter(msgspec.Struct, frozen=True):
    """One parameter. Which fields matter depends on the distribution."""

    path: tuple[str, ...]
    distribution: str
    values: tuple[Any, ...] = ()
    probabilities: tuple[float, ...] | None = None
    low: float = 0.0
    high: float = 1.0
    mu: float = 0.0
    sigma: float = 1.0
    q: float = 1.0
    a: float = 1.0
    b: float = 1.0

    @property
    def name(self) -> str:
        """The path, joined by dots."""
        return ".".join(self.path)

    @property
    def family(self) -> str:
        """The distribution, before its values are rounded to multiples of q."""
        return self.distribution.removeprefix("q_")


def read_parameters(given: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a sweep's configuration.

    Raises:
        Refused: there are none or too many, or one of them is not valid; the message says which and why.
    """
    found = tuple(_laid_out(mapping_in(given.get("parameters") or {}, "parameters"), ()))
    if not found and given.get("method") != "custom":
        raise Refused("The sweep's config has no parameters.")
    if len(found) > _MOST_PARAMETERS:
        raise Refused(f"The sweep has {len(found)} parameters; at most {_MOST_PARAMETERS} are taken.")
    if given.get("method") == "grid":
        for parameter in found:
            _check_grid(parameter)
    return found


def _laid_out(given: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[Parameter]:
    if len(above) > _DEEPEST:
        raise Refused(f"Parameters of the sweep are nested more than {_DEEPEST} levels deep.")
    for name, value in given.items():
        path = (*above, str(name))
        spec = mapping_in(value, f"parameter {'.'.join(path)}")
        if "parameters" in spec:
            yield from _laid_out(mapping_in(spec["parameters"], f"parameters of {'.'.join(path)}"), path)
        else:
            yield _parameter(path, spec)


def _parameter(path: tuple[str, ...], spec: Mapping[str, Any]) -> Parameter:
    name = ".".join(path)
    distribution = spec.get("distribution") or _distribution_of(spec)
    if distribution not in _NEEDS:
        raise Refused(f"Parameter {name!r} has the distribution {str(distribution)[:40]!r}, which is not known.")
    missing = [key for key in _NEEDS[distribution] if key not in spec]
    if missing:
        raise Refused(f"Parameter {name!r} is {distribution} and needs {' and '.join(missing)}.")
    numbers = {field: _number(name, key, spec[key]) for key, field in _NUMBERS.items() if key in spec}
    parameter = Parameter(path, distribution, _values(name, spec), probabilities=_probabilities(name, spec), **numbers)
    _check_numbers(parameter)
    return parameter


_NUMBERS = {"min": "low", "max": "high", "mu": "mu", "sigma": "sigma", "q": "q", "a": "a", "b": "b"}


def _distribution_of(spec: Mapping[str, Any]) -> str:
    """The distribution that W&B's clients choose where none is written."""
    if "value" in spec:
        return CONSTANT
    if "values" in spec:
        return CATEGORICAL
    if "min" in spec and "max" in spec:
        whole = isinstance(spec["min"], int) and isinstance(spec["max"], int)
        return "int_uniform" if whole else "uniform"
    return "normal" if "mu" in spec or "sigma" in spec else CONSTANT


def _values(name: str, spec: Mapping[str, Any]) -> tuple[Any, ...]:
    if "value" in spec:
        return (spec["value"],)
    values = spec.get("values", [])
    if not isinstance(values, list) or ("values" in spec and not values):
        raise Refused(f"'values' of parameter {name!r} must be a list that is not empty.")
    return tuple(values)


def _probabilities(name: str, spec: Mapping[str, Any]) -> tuple[float, ...] | None:
    given = spec.get("probabilities")
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != len(spec.get("values", ())):
        raise Refused(f"'probabilities' of parameter {name!r} must be a list as long as its values.")
    numbers = tuple(_number(name, "probabilities", one) for one in given)
    if any(number < 0 for number in numbers) or not sum(numbers) > 0:
        raise Refused(f"'probabilities' of parameter {name!r} must not be negative, nor all zero.")
    return numbers


def _number(name: str, key: str, value: Any) -> float:
    if not is_number(value):
        raise Refused(f"{key!r} of parameter {name!r} must be a number, not {str(value)[:40]!r}.")
    return value  # type: ignore[no-any-return]


def _check_numbers(parameter: Parameter) -> None:
    """Check that every value sampled later can be computed."""
    name, kind = parameter.name, parameter.family
    if min(parameter.sigma, parameter.q, parameter.a, parameter.b) <= 0:
        raise Refused(f"Parameter {name!r}: sigma, q, a and b must be greater than 0.")
    if "min" in _NEEDS[parameter.distribution] and parameter.low > parameter.high:
        raise Refused(f"Parameter {name!r}: min is greater than max.")
    if kind == "int_uniform" and math.ceil(parameter.low) > math.floor(parameter.high):
        raise Refused(f"Parameter {name!r}: there is no whole number between min and max.")
    if kind.endswith("log_uniform_values") and parameter.low <= 0:
        raise Refused(f"Parameter {name!r}: min must be greater than 0 for {parameter.distribution}.")
    _check_size(parameter, kind)


def _check_size(parameter: Parameter, kind: str) -> None:
    reach = abs(parameter.mu) + _SIGMAS * parameter.sigma if "normal" in kind else 1.0
    greatest = max(abs(parameter.low), abs(parameter.high), reach)
    if kind in _EXPONENTIAL and greatest > _MOST_EXPONENT:
        raise Refused(
            f"Parameter {parameter.name!r}: numbers of {parameter.distribution} are exponents of e, so small."
        )
    if kind != parameter.distribution and greatest / parameter.q > _MOST_STEPS:
        raise Refused(f"Parameter {parameter.name!r}: q is too small for such numbers.")


_EXPONENTIAL = ("log_uniform", "inv_log_uniform", "log_normal")
_MOST_EXPONENT = 300.0
_MOST_STEPS = 1e12
_SIGMAS = 10.0


def _check_grid(parameter: Parameter) -> None:
    if not parameter.values and parameter.distribution not in ("int_uniform", "q_uniform"):
        raise Refused(
            f"A grid needs a list of values: parameter {parameter.name!r} is {parameter.distribution}."
            " Use method random or bayes, or give it values."
        )


def mapping_in(value: Any, what: str) -> Mapping[str, Any]:
    """Return the value, which must be a mapping.

    Raises:
        Refused: it is none; the message says so of `what`.
    """
    if not isinstance(value, dict):
        raise Refused(f"{what[:100]} in the sweep's config must be a mapping, not {str(value)[:40]!r}.")
    return value
