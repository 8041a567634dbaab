"""Early stopping of runs by W&B's `early_terminate` of type hyperband: bands and rule. Stores nothing.

An iteration is a line of the history in which the sweep's metric is a number. At each band, a number of iterations, a
run is compared with every run of the sweep that reached it so far: those among the best 1/eta continue. This follows
W&B's documentation of sweep configurations and the behaviour of its public package `sweeps`.

Values are compared as losses: smaller is better.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from launchd.server.errors import Refused

_DEFAULT_ETA = 3
_MOST_BANDS = 100
_MOST_ITERATIONS = 2**31 - 1
_KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")


class Hyperband(msgspec.Struct, frozen=True):
    """By which metric runs are compared, when, and how strictly. `bands` are iterations, ascending."""

    metric: str
    bands: tuple[int, ...]
    maximize: bool = False
    eta: float = _DEFAULT_ETA
    strict: bool = False
    """Whether a run is judged by its value at the band, or by its best value so far."""

    def loss_of(self, value: float) -> float:
        """The loss for a value of the metric: smaller is better."""
        return -value if self.maximize else value

    def band_of(self, iterations: int) -> int | None:
        """The last band that a run with this many iterations has reached."""
        return max((band for band in self.bands if band <= iterations), default=None)

    def place_of_threshold(self, runs: int) -> int:
        """Index, among the sorted losses at a band, of the worst with which a run may continue."""
        return min(int(runs / self.eta), runs - 1)


class Progress(msgspec.Struct, frozen=True):
    """Iterations of a run and its best loss, which is infinite before the first iteration."""

    iterations: int = 0
    best: float = math.inf

    def after(self, losses: Iterable[float], bands: Iterable[int]) -> tuple["Progress", dict[int, float]]:
        """The progress after these losses, and those of them at which a band was reached, by band."""
        wanted, at_bands = frozenset(bands), {}
        iterations, best = self.iterations, self.best
        for loss in losses:
            iterations += 1
            best = min(best, loss)
            if iterations in wanted:
                at_bands[iterations] = loss
        return Progress(iterations, best), at_bands


def read_early_terminate(given: object, metric: str | None, *, maximize: bool) -> Hyperband | None:
    """Check the block `early_terminate` of a sweep's configuration; None where there is none.

    `metric` is the sweep's metric, if it names one, and `maximize` its goal.

    Raises:
        Refused: it has another type, or its numbers make no bands; the message says what.
    """
    if given is None:
        return None
    if not isinstance(given, dict):
        raise Refused(f"early_terminate of the sweep must be a mapping, not {str(given)[:40]!r}; {_NEEDED}.")
    if given.get("type") != "hyperband":
        raise Refused(f"early_terminate of the sweep has the type {str(given.get('type'))[:40]!r}; {_NEEDED}.")
    eta = given.get("eta", _DEFAULT_ETA)
    if not is_number(eta) or not 1 < eta < _MOST_ITERATIONS:
        raise Refused(f"eta of early_terminate must be a number greater than 1, not {str(eta)[:40]!r}.")
    strict = given.get("strict", False)
    if not isinstance(strict, bool):
        raise Refused(f"strict of early_terminate must be true or false, not {str(strict)[:40]!r}.")
    if metric is None:
        raise Refused("early_terminate of the sweep needs metric.name: it compares runs by that metric.")
    return Hyperband(metric, _bands(given, eta), maximize, eta, strict)


_NEEDED = "it needs type: hyperband, and min_iter, or max_iter together with s"


def unknown_keys(given: object) -> list[str]:
    """Keys of the block that have no meaning."""
    return [str(key)[:40] for key in given if key not in _KEYS] if isinstance(given, dict) else []


def _bands(given: Mapping[str, Any], eta: float) -> tuple[int, ...]:
    """The bands, ascending. Where both forms are given, max_iter wins, as in W&B."""
    if "max_iter" in given and "s" in given:
        found = _downwards(_whole(given, "max_iter"), _whole(given, "s"), eta)
    elif "min_iter" in given:
        found = _upwards(_whole(given, "min_iter"), eta)
    else:
        raise Refused(f"early_terminate of the sweep does not say when to compare runs; {_NEEDED}.")
    bands = tuple(sorted(set(found)))
    if not bands:
        raise Refused("early_terminate of the sweep makes no band: max_iter divided by eta must be at least 1.")
    return bands


def _upwards(first: int, eta: float) -> Iterator[int]:
    band: float = first
    for _ in range(_MOST_BANDS):
        if band > _MOST_ITERATIONS:
            return
        yield int(band)
        band *= eta


def _downwards(behind_last: int, number: int, eta: float) -> Iterator[int]:
    band: float = behind_last
    for _ in range(min(number, _MOST_BANDS)):
        band /= eta
        if band < 1:
            return
        yield int(band)


def _whole(given: Mapping[str, Any], key: str) -> int:
    value = given[key]
    if not is_number(value) or value != int(value) or not 1 <= value <= _MOST_ITERATIONS:
        raise Refused(f"{key} of early_terminate must be a whole number of at least 1, not {str(value)[:40]!r}.")
    return int(value)


def is_number(value: object) -> bool:
    """Whether the value is a number to calculate with: no boolean, no infinity, nothing above 1e300 in size."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300
