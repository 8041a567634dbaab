"""Conversion of a caller's configuration to JSON's types."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from launchd.api.coerce import as_mapping
from launchd.api.errors import LaunchError


class Rate(float):
    """A number of a type of its own, as numpy's are."""


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(0.1), 0.1),
        (np.int64(3), 3),
        (np.bool_(1), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (Rate(0.5), 0.5),
        (Path("/data"), "/data"),
        ((1, None, "x"), [1, None, "x"]),
        ({8: {"deep": np.int8(1)}}, {"8": {"deep": 1}}),
    ],
)
def test_numbers_arrays_and_paths_become_json(value: Any, plain: Any) -> None:
    found = as_mapping({"x": value}, "config")

    assert found == {"x": plain}
    assert type(found["x"]) is type(plain)


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}, np.array([math.nan])])
def test_what_json_cannot_hold_is_named_with_its_location(value: Any) -> None:
    with pytest.raises(LaunchError, match=r"parameters\['model'\]\[1\](\[0\])? is .* which JSON cannot hold"):
        as_mapping({"model": [0, value]}, "parameters")


def test_a_copy_is_returned() -> None:
    given = {"layers": [{"width": 1}]}

    as_mapping(given, "config")["layers"][0]["width"] = 2

    assert given == {"layers": [{"width": 1}]}
    assert as_mapping(None, "config") == {}


@pytest.mark.parametrize("value", [[1], "lr=0.1", 5])
def test_what_is_no_mapping_is_refused(value: object) -> None:
    with pytest.raises(LaunchError, match="config is a mapping, not"):
        as_mapping(value, "config")
