"""Configurations of sweeps, and the values that the samplers choose."""

import json
import math
import re
from random import Random
from statistics import median
from typing import Any

import pytest
import yaml

from launchd.server.errors import Refused
from launchd.server.sweeps import bayes, samplers
from launchd.server.sweeps.bayes import Observation
from launchd.server.sweeps.config import read_config
from launchd.server.sweeps.parameters import Parameter

LOSS = {"metric": {"name": "loss"}}


def config_of(parameters: dict[str, Any], method: str = "random", **more: Any) -> Any:
    return read_config(yaml.safe_dump({"method": method, "parameters": parameters, **more}))


def test_a_grid_has_every_point_once_and_nested_parameters_stay_nested() -> None:
    opt = {"parameters": {"kind": {"values": ["adam", "sgd"]}, "fixed": {"value": 7}}}
    config = config_of({"lr": {"values": [0.1, 0.2]}, "opt": opt, "n": {"min": 1, "max": 3}}, "grid")
    points = [samplers.grid_point(config, number) for number in range(samplers.grid_size(config))]
    assert len(points) == 12
    assert len({tuple(point.items()) for point in points}) == 12
    arguments = samplers.arguments(config, points[0])
    assert arguments == {
        "lr": {"value": 0.1},
        "opt": {"value": {"kind": "adam", "fixed": 7}},
        "n": {"value": 1},
    }
    assert samplers.values_of(config, arguments) == points[0]


@pytest.mark.parametrize(
    ("spec", "low", "high"),
    [
        ({"min": 2, "max": 5}, 2, 5),
        ({"min": 0.5, "max": 1.5}, 0.5, 1.5),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, 0, 1),
        ({"distribution": "log_uniform", "min": -3, "max": 0}, math.exp(-3), 1),
        ({"distribution": "log_uniform_values", "min": 0.01, "max": 10}, 0.01, 10),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 100, "q": 2}, 0, 100),
        ({"distribution": "inv_log_uniform", "min": 0, "max": 3}, math.exp(-3), 1),
        ({"distribution": "inv_log_uniform_values", "min": 0.01, "max": 10}, 0.01, 10),
        ({"distribution": "beta", "a": 2, "b": 3}, 0, 1),
    ],
)
def test_what_is_drawn_lies_where_it_should(spec: dict[str, Any], low: float, high: float) -> None:
    config, random = config_of({"x": spec}), Random(1)
    drawn = [samplers.sample(config, random)["x"] for _ in range(300)]
    slack = 1e-9 * max(1, high)
    assert all(low - slack <= value <= high + slack for value in drawn)
    assert max(drawn) > low + 0.5 * (high - low) / 2
    assert len(set(drawn)) >= 4


@pytest.mark.parametrize("kind", ["normal", "q_normal", "log_normal", "q_log_normal"])
def test_normal_distributions_have_their_middle(kind: str) -> None:
    config, random = config_of({"x": {"distribution": kind, "mu": 1, "sigma": 0.5, "q": 0.1}}), Random(1)
    drawn = sorted(samplers.sample(config, random)["x"] for _ in range(500))
    middle = math.exp(1) if "log" in kind else 1
    assert drawn[250] == pytest.approx(middle, rel=0.2)


def test_probabilities_are_heeded() -> None:
    config = config_of({"x": {"values": ["a", "b"], "probabilities": [0.0, 1.0]}})
    assert {samplers.sample(config, Random(seed))["x"] for seed in range(20)} == {"b"}


def losses_of_bayes() -> list[float]:
    """What the runs of one sweep come to, the first to the last."""
    parameters = {
        "x": {"min": 0.0, "max": 10.0},
        "kind": {"values": [{"deep": True}, "flat"]},
        "n": {"min": 1, "max": 3},
    }
    config = config_of(parameters, "bayes", **LOSS)
    bayes.check_available(config)
    seen: list[Observation] = [Observation({"x": 99, "kind": "?", "n": 1}, 0.0), Observation({"x": 1.0}, 0.0)]
    for _ in range(40):
        values = bayes.suggest(config, seen)
        seen.append(Observation(values, abs(values["x"] - 3) + (values["kind"] == "flat")))
    assert seen[-1].values.keys() == parameters.keys()
    return [one.metric for one in seen[2:]]


def test_bayes_finds_what_is_good() -> None:
    # Chance is at work in each sweep: at random the middle of the last twenty is 3.0 ± 0.45, with bayes 1.45 ± 0.36.
    middles = [median(losses_of_bayes()[-20:]) for _ in range(5)]
    assert sum(middles) / len(middles) < 2.2


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("{", "is not YAML"),
        ("- a", "must be a mapping"),
        ("method: best", "Method 'best' of the sweep is not known"),
        ("method: random", "has no parameters"),
        ("method: random\nparameters: [a]", "must be a mapping"),
        ("method: random\nparameters: {x: 1}", "parameter x in the sweep's config must be a mapping"),
        ("method: random\nparameters: {x: {}}", "'x' is constant and needs value"),
        ("method: random\nparameters: {x: {values: []}}", "a list that is not empty"),
        ("method: random\nparameters: {x: {values: [1], probabilities: [1, 2]}}", "as long as its values"),
        ("method: random\nparameters: {x: {values: [1, 2], probabilities: [0, 0]}}", "nor all zero"),
        ("method: random\nparameters: {x: {min: 3, max: 1}}", "min is greater than max"),
        ("method: random\nparameters: {x: {min: a, max: 1}}", "'min' of parameter 'x' must be a number"),
        ("method: random\nparameters: {x: {min: .2, max: .8, distribution: int_uniform}}", "no whole number"),
        ("method: random\nparameters: {x: {distribution: log_uniform, min: 0, max: 999}}", "exponents of e"),
        ("method: random\nparameters: {x: {distribution: log_uniform_values, min: 0, max: 9}}", "greater than 0"),
        ("method: random\nparameters: {x: {distribution: q_normal, q: 1.0e-300}}", "q is too small"),
        ("method: random\nparameters: {x: {distribution: odd}}", "'odd', which is not known"),
        ("method: grid\nparameters: {x: {min: 0.0, max: 1.0}}", "A grid needs a list of values: parameter 'x'"),
        ("method: bayes\nparameters: {x: {value: 1}}", "needs metric.name"),
        ("method: random\nrun_cap: 0\nparameters: {x: {value: 1}}", "run_cap of the sweep must be"),
        ("a: &a [1]\nmethod: random\nparameters: {x: {values: *a}}", "uses YAML aliases"),
    ],
)
def test_a_configuration_that_cannot_be_says_why(given: str, complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        read_config(given)


def test_a_number_that_yaml_takes_for_text_is_the_number_it_means() -> None:
    given = "x: {min: 1e-5, max: 1E+3, distribution: log_uniform_values}, y: {values: [1e-3, 2.5e2, '1e', e5, v1e5]}"
    metric = "{name: loss, target: 1e-2}"

    config = read_config(f"method: random\nmetric: {metric}\nparameters: {{{given}, z: {{value: {{deep: [2e0]}}}}}}")

    x, y, z = config.parameters
    assert (x.low, x.high, y.values, z.values) == (1e-5, 1e3, (1e-3, 250.0, "1e", "e5", "v1e5"), ({"deep": [2.0]},))
    assert config.target == 0.01
    assert len(config.warnings) == 6
    assert "parameters.x.min: 1e-5 is read as the number 1e-05, though to YAML it is text." in config.warnings


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ("x: {value: 1, values: [2]}", "parameters.x has both 'value' and 'values'; it can have only one of them."),
        (
            "x: {value: 1, valuess: [2]}",
            "parameters.x has the key 'valuess', which is not known; the nearest is 'values'.",
        ),
        (
            "o: {parameters: {lr: {maxx: 1, min: 0, max: 2}}}",
            "parameters.o.parameters.lr has the key 'maxx', which is not known; the nearest is 'max'.",
        ),
    ],
)
def test_a_wrong_key_of_a_parameter_is_named_with_its_place(parameters: str, sentence: str) -> None:
    assert read_config(f"method: random\nparameters: {{{parameters}}}").wrong_names == (sentence,)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (
            "parameters: {opt: {lr: {values: [1]}}}",
            "parameters.opt has parameters of its own: they stand below the key",
        ),
        ("paramters: {x: {value: 1}}", "has the key 'paramters', which is not known; the nearest is 'parameters'."),
        (
            "parameters: {x: {vaule: 1}}",
            "parameters.x has the key 'vaule', which is not known; the nearest is 'value'.",
        ),
    ],
)
def test_a_wrong_key_is_the_reason_where_nothing_can_be_read(given: str, complaint: str) -> None:
    with pytest.raises(Refused, match=re.escape(complaint)):
        read_config(f"method: random\n{given}")


def test_keys_without_effect_are_told() -> None:
    config = read_config("method: random\nmetrics: {}\nmetric: {nmae: x}\nparameters: {x: {value: 1}}")
    assert config.warnings == (
        "The sweep's config has the key 'metrics', which is not known; the nearest is 'metric'. It has no effect.",
        "metric has the key 'nmae', which is not known; the nearest is 'name'. It has no effect.",
    )


EVERY_DISTRIBUTION: dict[str, dict[str, Any]] = {
    "constant": {"value": None},
    "categorical": {"values": [None, "a", {"deep": [1]}, True, 1.0, 0]},
    "int_uniform": {"min": 1, "max": 5},
    "uniform": {"min": -1.0, "max": 1.0},
    "q_uniform": {"min": 0, "max": 10, "q": 2.5},
    "log_uniform": {"min": -3, "max": 0},
    "log_uniform_values": {"min": 0.001, "max": 1},
    "q_log_uniform": {"min": 0, "max": 4, "q": 1},
    "q_log_uniform_values": {"min": 1, "max": 256, "q": 8},
    "inv_log_uniform": {"min": 0, "max": 3},
    "inv_log_uniform_values": {"min": 0.001, "max": 1},
    "normal": {"mu": 1, "sigma": 2},
    "q_normal": {"mu": 10, "sigma": 4, "q": 2},
    "log_normal": {"mu": 0, "sigma": 1},
    "q_log_normal": {"mu": 0, "sigma": 1, "q": 3},
    "beta": {"a": 2, "b": 3},
    "q_beta": {"a": 2, "b": 3, "q": 0.3},
}


@pytest.mark.parametrize("distribution", EVERY_DISTRIBUTION)
def test_bayes_suggests_and_learns_from_values_of_every_distribution(distribution: str) -> None:
    parameters = {"x": {"distribution": distribution, **EVERY_DISTRIBUTION[distribution]}}
    config = config_of(parameters, "bayes", **LOSS)
    bayes.check_available(config)
    random = Random(1)
    # As runs report it: in W&B's JSON 1.0 becomes 1.
    texts = [samplers.canonical(samplers.arguments(config, samplers.sample(config, random))) for _ in range(50)]
    runs = [json.loads(text) for text in texts]
    seen = [Observation(samplers.values_of(config, run), float(place)) for place, run in enumerate(runs)]

    assert len(bayes.study_of(config, seen).trials) == len(seen)

    suggested = bayes.suggest(config, seen)
    (parameter,) = config.parameters
    again = bayes.from_optuna(parameter, bayes.to_optuna(parameter, suggested["x"]))
    assert again == (pytest.approx(suggested["x"]) if isinstance(suggested["x"], float) else suggested["x"])


def test_bayes_does_not_learn_from_values_that_are_out_of_reach() -> None:
    config = config_of({"x": {"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8}}, "bayes", **LOSS)
    seen = [Observation({"x": value}, 1.0) for value in (8, 64, 200, "8", None)]
    assert len(bayes.study_of(config, seen).trials) == 2


def test_a_parameter_without_a_distribution_gets_that_of_its_keys() -> None:
    kinds = {
        "a": {"value": 1},
        "b": {"values": [1]},
        "c": {"min": 1, "max": 2},
        "d": {"min": 1.0, "max": 2},
        "e": {"mu": 0},
    }
    found: tuple[Parameter, ...] = config_of(kinds).parameters
    assert [one.distribution for one in found] == ["constant", "categorical", "int_uniform", "uniform", "normal"]
