"""The steps that a spec of `sampledHistory` selects, per client version."""

import pytest

from launchd.server.resolvers.runs.sampled_history import LAST_STEP, read_specs


@pytest.mark.parametrize(
    ("spec", "steps"),
    [
        ("{}", (0, LAST_STEP)),
        ('{"minStep": 3}', (3, LAST_STEP)),
        # As wandb 0.20 asks: a page of 1000, then the rest.
        ('{"minStep": 0, "maxStep": 1000, "samples": 1000}', (0, 1000)),
        ('{"minStep": 1000, "maxStep": 1006, "samples": 1000}', (1000, 1006)),
        # As wandb 0.31 does.
        ('{"minStep": 0, "maxStep": 999, "samples": 1000}', (0, 1000)),
        ('{"minStep": 1000, "maxStep": 1005, "samples": 6}', (1000, 1006)),
    ],
)
def test_the_steps_of_a_spec(spec: str, steps: tuple[int, int]) -> None:
    assert [found.steps() for found in read_specs([spec])] == [steps]
