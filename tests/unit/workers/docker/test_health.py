"""How often a container's health is looked at: pauses that are too short are made longer, and told."""

import pytest
from msgspec.structs import replace

from workers.docker.health import HealthCheck, calmed, warning

SECOND = 10**9
TEST = ["CMD", "true"]


@pytest.mark.parametrize(
    ("check", "pauses"),
    [
        (None, None),
        (HealthCheck(TEST), None),
        (HealthCheck(TEST, 5 * SECOND, 5 * SECOND), None),
        (HealthCheck(TEST, 1_000_000), (5 * SECOND, 0)),
        (HealthCheck(TEST, 0, 1_000_000), (0, 5 * SECOND)),
        (HealthCheck(TEST, 1, 1), (5 * SECOND, 5 * SECOND)),
        (HealthCheck(TEST, 60 * SECOND, 1), (60 * SECOND, 5 * SECOND)),
        (HealthCheck(TEST, -1, timeout=7, retries=2), (5 * SECOND, 0)),
        (HealthCheck(["NONE"], 1), None),
        (HealthCheck([], 1), None),
        (HealthCheck(None, 1), None),
    ],
)
def test_pauses_that_are_too_short_are_raised(check: HealthCheck | None, pauses: tuple[int, int] | None) -> None:
    raised = calmed(check, 5.0)

    assert calmed(check, 0.0) is None
    if check is None or pauses is None:
        assert raised is None
    else:
        assert raised == replace(check, interval=pauses[0], start_interval=pauses[1])


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
