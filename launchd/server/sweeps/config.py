"""Decoding and checking of a sweep's configuration, which W&B's clients send as YAML."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import yaml

from launchd.server.errors import Refused
from launchd.server.sweeps import wrong_names
from launchd.server.sweeps.hyperband import Hyperband, is_number, read_early_terminate, unknown_keys
from launchd.server.sweeps.meant_numbers import MeantNumbers
from launchd.server.sweeps.parameters import Parameter, mapping_in, read_parameters

CUSTOM = "custom"
"""The method of a sweep whose runs come from a scheduler that is a job, and not from this server."""

METHODS = ("grid", "random", "bayes", CUSTOM)
_LONGEST = 1024 * 1024
_WITH_NUMBERS = ("parameters", "metric", "early_terminate")


class SweepConfig(msgspec.Struct, frozen=True):
    """A checked configuration of a sweep."""

    method: str
    parameters: tuple[Parameter, ...]
    metric: str | None = None
    maximize: bool = False
    target: float | None = None
    early_terminate: Hyperband | None = None
    run_cap: int | None = None
    display_name: str | None = None
    program: str | None = None
    scheduler_job: str | None = None
    """The job of `scheduler.job`, where the configuration names one."""
    warnings: tuple[str, ...] = ()
    wrong_names: tuple[str, ...] = ()
    """Sentences about keys of parameters that no new configuration may have."""


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases: a few lines of them can expand beyond the memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise Refused("The sweep's config uses YAML aliases; write out what they stand for.")
        return super().compose_node(parent, index)


@lru_cache(maxsize=64)
def read_config(text: str) -> SweepConfig:
    """Decode a configuration. The last results are cached: each request of a sweep's agents and runs needs it.

    Raises:
        Refused: it is not YAML, or something in it is not valid; the message says what.
    """
    if len(text) > _LONGEST:
        raise Refused(f"The sweep's config is longer than {_LONGEST} characters.")
    try:
        given = yaml.load(text, _PlainLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Refused(f"The sweep's config is not YAML: {str(error)[:300]}.") from error
    if not isinstance(given, dict):
        raise Refused("The sweep's config must be a mapping with 'method' and 'parameters'.")
    return _read(given)


def _read(written: Mapping[str, Any]) -> SweepConfig:
    numbers = MeantNumbers()
    given = {key: numbers.read(value, key) if key in _WITH_NUMBERS else value for key, value in written.items()}
    metric, maximize, target = _metric(given)
    wrong = tuple(wrong_names.in_parameters(given.get("parameters")))
    return SweepConfig(
        method=_method(given, metric),
        parameters=_parameters(given, wrong),
        metric=metric,
        maximize=maximize,
        target=target,
        early_terminate=read_early_terminate(given.get("early_terminate"), metric, maximize=maximize),
        run_cap=_run_cap(given.get("run_cap")),
        display_name=str(given["name"]) if given.get("name") else None,
        program=str(given["program"]) if given.get("program") else None,
        scheduler_job=_scheduler_job(given.get("scheduler")),
        warnings=(*_warnings(given), *numbers.warnings),
        wrong_names=wrong,
    )


def _method(given: Mapping[str, Any], metric: str | None) -> str:
    method = given.get("method")
    if method not in METHODS:
        raise Refused(f"Method {str(method)[:40]!r} of the sweep is not known; use {', '.join(METHODS)}.")
    if method == "bayes" and metric is None:
        raise Refused("A sweep with method 'bayes' needs metric.name: it learns from that metric.")
    return str(method)


def _parameters(given: Mapping[str, Any], wrong: Sequence[str]) -> tuple[Parameter, ...]:
    """The parameters. Where they cannot be read and a key is wrong, the key is the reason."""
    try:
        return read_parameters(given)
    except Refused as error:
        reasons = wrong or wrong_names.without_effect(given)
        raise Refused(" ".join([str(error), *reasons[:1]])) from error


def _scheduler_job(scheduler: Any) -> str | None:
    job = scheduler.get("job") if isinstance(scheduler, dict) else None
    return job if isinstance(job, str) and job else None


def _metric(given: Mapping[str, Any]) -> tuple[str | None, bool, float | None]:
    """Name of the metric, whether to maximize it, and its target."""
    metric = mapping_in(given.get("metric") or {}, "metric")
    name, goal = metric.get("name"), metric.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        raise Refused(f"metric.goal of the sweep must be minimize or maximize, not {str(goal)[:40]!r}.")
    target = metric.get("target")
    if target is not None and not is_number(target):
        raise Refused(f"metric.target of the sweep must be a number, not {str(target)[:40]!r}.")
    return name if isinstance(name, str) else None, goal == "maximize", target


def _warnings(given: Mapping[str, Any]) -> tuple[str, ...]:
    unknown = unknown_keys(given.get("early_terminate"))
    of_early_terminate = (f"early_terminate.{key} is not known and has no effect." for key in unknown)
    return (*of_early_terminate, *wrong_names.without_effect(given))


def _run_cap(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refused(f"run_cap of the sweep must be a number of runs, not {str(value)[:40]!r}.")
    return value
