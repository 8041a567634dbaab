"""Early stopping by hyperband; the expected bands and thresholds are computed by hand."""

import math
from typing import Any

import pytest
import yaml

from launchd.server.errors import Refused
from launchd.server.sweeps.config import read_config
from launchd.server.sweeps.hyperband import Hyperband, Progress


def rule_of(goal: str = "minimize", **block: Any) -> Hyperband:
    """The rule of a sweep's configuration with this block `early_terminate`."""
    given = {"method": "grid", "metric": {"name": "loss", "goal": goal}, "parameters": {"x": {"values": [1]}}}
    found = read_config(yaml.safe_dump(given | {"early_terminate": {"type": "hyperband", **block}})).early_terminate
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("block", "bands"),
    [
        ({"min_iter": 3}, (3, 9, 27, 81)),
        ({"min_iter": 2, "eta": 2}, (2, 4, 8, 16)),
        ({"min_iter": 4, "eta": 1.5}, (4, 6, 9, 13, 20)),
        ({"max_iter": 27, "s": 2}, (3, 9)),
        ({"max_iter": 18, "s": 2, "eta": 3}, (2, 6)),
        ({"max_iter": 5, "s": 2, "eta": 2}, (1, 2)),
        ({"max_iter": 9, "s": 50}, (1, 3)),
        ({"max_iter": 27, "s": 1, "min_iter": 2}, (9,)),
    ],
)
def test_the_bands_are_where_they_should_be(block: dict[str, Any], bands: tuple[int, ...]) -> None:
    found = rule_of(**block).bands
    assert found[: len(bands)] == bands
    assert "max_iter" not in block or found == bands


def test_there_are_only_so_many_bands() -> None:
    assert rule_of(min_iter=3).bands[-1] == 3**19 < 2**31
    assert len(rule_of(min_iter=1, eta=1.0001).bands) == 1


def test_defaults_are_those_of_the_documentation() -> None:
    assert rule_of(min_iter=3) == Hyperband("loss", rule_of(min_iter=3).bands, maximize=False, eta=3, strict=False)
    assert rule_of("maximize", min_iter=3).loss_of(0.5) == -0.5


def test_the_last_band_that_was_come_to_counts() -> None:
    rule = rule_of(min_iter=3)
    assert [rule.band_of(iterations) for iterations in (0, 2, 3, 8, 9, 30)] == [None, None, 3, 3, 9, 27]


@pytest.mark.parametrize(("runs", "eta", "place"), [(1, 3, 0), (2, 3, 0), (3, 3, 1), (5, 2, 2), (9, 3, 3), (4, 1.5, 2)])
def test_the_threshold_is_behind_the_best_part(runs: int, eta: float, place: int) -> None:
    assert rule_of(min_iter=1, eta=eta).place_of_threshold(runs) == place


def test_progress_goes_on_where_it_was() -> None:
    first, at_first = Progress().after([5.0, 4.0], (2, 4))
    second, at_second = first.after([6.0, 3.5, 9.0], (2, 4))
    assert (at_first, at_second) == ({2: 4.0}, {4: 3.5})
    assert second == Progress(5, 3.5)
    assert Progress().best == math.inf


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("hyperband", "must be a mapping, not 'hyperband'; it needs type: hyperband"),
        ({"min_iter": 3}, "has the type 'None'"),
        ({"type": "median", "min_iter": 3}, "has the type 'median'"),
        ({"type": "hyperband"}, "does not say when to compare runs; it needs type: hyperband, and min_iter"),
        ({"type": "hyperband", "max_iter": 27}, "max_iter together with s"),
        ({"type": "hyperband", "min_iter": 0}, "min_iter of early_terminate must be a whole number of at least 1"),
        ({"type": "hyperband", "min_iter": "3"}, "min_iter of early_terminate must be a whole number"),
        ({"type": "hyperband", "max_iter": 9, "s": 1.5}, "s of early_terminate must be a whole number"),
        ({"type": "hyperband", "max_iter": 2, "s": 2}, "makes no band"),
        ({"type": "hyperband", "min_iter": 3, "eta": -2}, "eta of early_terminate must be a number greater than 1"),
        ({"type": "hyperband", "min_iter": 3, "eta": 1}, "eta of early_terminate must be a number greater than 1"),
        ({"type": "hyperband", "min_iter": 3, "eta": 10**400}, "eta of early_terminate must be a number"),
        ({"type": "hyperband", "min_iter": 3, "strict": "yes"}, "strict of early_terminate must be true or false"),
    ],
)
def test_a_block_that_cannot_be_says_why(block: Any, complaint: str) -> None:
    given = {"method": "random", "metric": {"name": "loss"}, "parameters": {"x": {"value": 1}}}
    with pytest.raises(Refused, match=complaint):
        read_config(yaml.safe_dump(given | {"early_terminate": block}))


def test_a_block_without_a_metric_is_refused_and_one_with_more_keys_warns() -> None:
    given = {"method": "random", "parameters": {"x": {"value": 1}}, "early_terminate": {"type": "hyperband"}}
    given["early_terminate"] = {"type": "hyperband", "min_iter": 3, "patience": 2}
    with pytest.raises(Refused, match=r"needs metric\.name"):
        read_config(yaml.safe_dump(given))
    config = read_config(yaml.safe_dump(given | {"metric": {"name": "loss"}}))
    assert config.warnings == ("early_terminate.patience is not known and has no effect.",)
