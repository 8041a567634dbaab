"""How often a container's health is looked at: pauses that are too short are made longer, and told."""

import pytest

from workers.docker.health import HealthCheck, calmed, warning

SECOND = 10**9
TEST = ["CMD", "true"]


@pytest.mark.parametrize(
    ("check", "raised"),
    [
        (None, {}),
        (HealthCheck(TEST), {}),
        (HealthCheck(TEST, 5 * SECOND, 5 * SECOND), {}),
        (HealthCheck(TEST, 1_000_000), {"Interval": 5 * SECOND}),
        (HealthCheck(TEST, 0, 1_000_000), {"StartInterval": 5 * SECOND}),
        (HealthCheck(TEST, 1, 1), {"Interval": 5 * SECOND, "StartInterval": 5 * SECOND}),
        (HealthCheck(TEST, -1), {"Interval": 5 * SECOND}),
        (HealthCheck(["NONE"], 1), {}),
        (HealthCheck([], 1), {}),
        (HealthCheck(None, 1), {}),
    ],
)
def test_pauses_that_are_too_short_are_raised(check: HealthCheck | None, raised: dict[str, int]) -> None:
    assert calmed(check, 5.0) == raised
    assert calmed(check, 0.0) == {}


def test_what_an_image_asks_for_and_does_not_get_is_told() -> None:
    check = HealthCheck(TEST, 1_000_000)

    assert warning("a:1", check, {}, 5.0) == (
        "The image a:1 has its health checked every 0.001 s; on this host that is done every 5 s"
        " (launchd.policy.containers.limits.health_check_seconds)."
    )
    assert warning("a:1", check, {"Interval": 6 * SECOND}, 5.0) is None
    assert warning("a:1", check, {"Test": ["NONE"]}, 5.0) is None
    assert warning("a:1", HealthCheck(TEST), {}, 5.0) is None
    assert warning("a:1", None, {}, 5.0) is None
