"""Bayesian search: values chosen by the results of earlier runs, with Optuna's TPE sampler, an optional package.

Nothing is stored between two choices: each study is rebuilt from the runs, so a restarted server continues seamlessly.
"""

import importlib
import importlib.util
import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import msgspec

from launchd.server.errors import Refused
from launchd.server.sweeps import samplers
from launchd.server.sweeps.config import SweepConfig
from launchd.server.sweeps.parameters import Parameter

MOST_OBSERVATIONS = 500
"""The newest runs that are learned from: TPE takes time in proportion to their number."""


class Observation(msgspec.Struct, frozen=True):
    """The parameters of a run and the metric that it reached."""

    values: Mapping[str, Any]
    metric: float


def check_available(config: SweepConfig) -> None:
    """Raises:
    Refused: the sweep needs Optuna, which is not installed here.
    """
    if config.method == "bayes" and importlib.util.find_spec("optuna") is None:
        raise Refused(
            "Method 'bayes' needs Optuna on the queue server (pip install --require-hashes -r requirements/bayes.lock"
            " in the repository); grid and random work without it."
        )


def suggest(config: SweepConfig, seen: Sequence[Observation]) -> dict[str, Any]:
    """The next values, by name of the parameter."""
    optuna = importlib.import_module("optuna")
    distributions = {parameter.name: _distribution(optuna, parameter) for parameter in config.parameters}
    chosen = study_of(config, seen).ask(distributions).params
    return {parameter.name: from_optuna(parameter, chosen[parameter.name]) for parameter in config.parameters}


def study_of(config: SweepConfig, seen: Sequence[Observation]) -> Any:
    """Optuna's study of a sweep, with these runs as its trials."""
    optuna = importlib.import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {parameter.name: _distribution(optuna, parameter) for parameter in config.parameters}
    study = optuna.create_study(
        direction="maximize" if config.maximize else "minimize", sampler=optuna.samplers.TPESampler(multivariate=True)
    )
    for one in seen[-MOST_OBSERVATIONS:]:
        _add_trial(optuna, study, config, distributions, one)
    return study


def _add_trial(
    optuna: Any, study: Any, config: SweepConfig, distributions: Mapping[str, Any], one: Observation
) -> None:
    """Add a run as a trial, unless its values are not among those of this sweep."""
    if not math.isfinite(one.metric) or one.values.keys() != distributions.keys():
        return
    try:
        within = {parameter.name: to_optuna(parameter, one.values[parameter.name]) for parameter in config.parameters}
        trial = optuna.trial.create_trial(params=within, distributions=dict(distributions), value=one.metric)
    except (ValueError, TypeError):
        return
    study.add_trial(trial)


def _distribution(optuna: Any, parameter: Parameter) -> Any:
    kinds = optuna.distributions
    if parameter.values:
        return kinds.CategoricalDistribution([samplers.canonical(value) for value in parameter.values])
    if parameter.distribution == "int_uniform":
        return kinds.IntDistribution(math.ceil(parameter.low), math.floor(parameter.high))
    if parameter.distribution == "q_uniform":
        return kinds.FloatDistribution(parameter.low, parameter.high, step=parameter.q)
    return kinds.FloatDistribution(*_range(parameter), log="log_uniform" in parameter.distribution)


def _range(parameter: Parameter) -> tuple[float, float]:
    """The range in which Optuna searches: quantiles for a normal distribution, otherwise values."""
    match parameter.family:
        case "log_uniform":
            return math.exp(parameter.low), math.exp(parameter.high)
        case "inv_log_uniform":
            return math.exp(-parameter.high), math.exp(-parameter.low)
        case "normal" | "log_normal":
            return _LEAST_QUANTILE, 1 - _LEAST_QUANTILE
        case "beta":
            return 0.0, 1.0
        case _:
            return parameter.low, parameter.high


_LEAST_QUANTILE = 1e-6
_LEAST_VALUE = 1e-300


def to_optuna(parameter: Parameter, value: Any) -> Any:
    """A value in Optuna's form: text for one of a list, because Optuna compares no objects; a quantile; or itself.

    Raises:
        TypeError: not a number.
    """
    if parameter.values:
        return samplers.canonical(value)
    if parameter.distribution in ("int_uniform", "q_uniform"):
        return value
    low, high = _range(parameter)
    if "normal" in parameter.family:
        value = math.log(max(value, _LEAST_VALUE)) if parameter.family == "log_normal" else value
        return min(max(NormalDist(parameter.mu, parameter.sigma).cdf(value), low), high)
    rounded = parameter.q if parameter.family != parameter.distribution else 0
    return min(max(value, low), high) if low - rounded <= value <= high + rounded else value


def from_optuna(parameter: Parameter, value: Any) -> Any:
    """The inverse of `to_optuna`."""
    if parameter.values:
        return next(one for one in parameter.values if samplers.canonical(one) == value)
    if "normal" in parameter.family:
        value = NormalDist(parameter.mu, parameter.sigma).inv_cdf(value)
    if parameter.family == "log_normal":
        value = math.exp(value)
    return value if parameter.distribution == "q_uniform" else samplers.quantized(parameter, value)
