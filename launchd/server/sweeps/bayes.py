"""Choosing values by what earlier runs reached. Owns the use of Optuna (its TPE sampler), which is an extra package.

Nothing is kept between two choices: the runs are the memory, so that a restarted server goes on where it was.
"""

import importlib
import importlib.util
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from launchd.server.errors import Refused
from launchd.server.sweeps.config import Parameter, SweepConfig

MOST_OBSERVATIONS = 500
"""So many of the youngest runs are learned from: TPE takes time in proportion."""


class Observation(msgspec.Struct, frozen=True):
    """What a run was given, and what it reached."""

    values: Mapping[str, Any]
    metric: float


def check_available(config: SweepConfig) -> None:
    """Raises:
    Refused: the sweep needs Optuna, which is not installed here, or has a distribution it cannot use.
    """
    if config.method != "bayes":
        return
    if importlib.util.find_spec("optuna") is None:
        raise Refused(
            "Method 'bayes' needs Optuna on the queue server (pip install '.[server,bayes]' in the repository);"
            " grid and random work without it."
        )
    for parameter in config.parameters:
        if not parameter.values and parameter.distribution not in _BOUNDED:
            raise Refused(
                f"Parameter {parameter.name!r} is {parameter.distribution}; with method 'bayes' this queue server takes"
                f" values, {', '.join(_BOUNDED)}."
            )


_BOUNDED = ("int_uniform", "uniform", "q_uniform", "log_uniform", "log_uniform_values")


def suggest(config: SweepConfig, seen: Sequence[Observation]) -> dict[str, Any]:
    """The next values, by name of the parameter."""
    optuna = importlib.import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {parameter.name: _distribution(optuna, parameter) for parameter in config.parameters}
    study = optuna.create_study(
        direction="maximize" if config.maximize else "minimize", sampler=optuna.samplers.TPESampler(multivariate=True)
    )
    for one in seen[-MOST_OBSERVATIONS:]:
        _tell(optuna, study, config, distributions, one)
    chosen = study.ask(distributions).params
    return {parameter.name: _outside(parameter, chosen[parameter.name]) for parameter in config.parameters}


def _tell(optuna: Any, study: Any, config: SweepConfig, distributions: Mapping[str, Any], one: Observation) -> None:
    """A run that was given other values than this sweep can give teaches nothing."""
    if not math.isfinite(one.metric) or one.values.keys() != distributions.keys():
        return
    inside = {parameter.name: _inside(parameter, one.values[parameter.name]) for parameter in config.parameters}
    try:
        trial = optuna.trial.create_trial(params=inside, distributions=dict(distributions), value=one.metric)
    except (ValueError, TypeError):
        return
    study.add_trial(trial)


def _distribution(optuna: Any, parameter: Parameter) -> Any:
    kinds = optuna.distributions
    if parameter.values:
        return kinds.CategoricalDistribution([json.dumps(value) for value in parameter.values])
    match parameter.distribution:
        case "int_uniform":
            return kinds.IntDistribution(math.ceil(parameter.low), math.floor(parameter.high))
        case "q_uniform":
            return kinds.FloatDistribution(parameter.low, parameter.high, step=parameter.q)
        case "log_uniform":
            return kinds.FloatDistribution(math.exp(parameter.low), math.exp(parameter.high), log=True)
        case "log_uniform_values":
            return kinds.FloatDistribution(parameter.low, parameter.high, log=True)
        case _:
            return kinds.FloatDistribution(parameter.low, parameter.high)


def _inside(parameter: Parameter, value: Any) -> Any:
    """Values of a list may be objects; Optuna compares their JSON."""
    return json.dumps(value) if parameter.values else value


def _outside(parameter: Parameter, value: Any) -> Any:
    return json.loads(value) if parameter.values else value
