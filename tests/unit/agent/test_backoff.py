"""Growing pauses, and the rate that a server allows."""

import pytest

from launchd.agent.backoff import Backoff
from launchd.client.ratelimit import LONGEST_SPACING_SECONDS, RateLimit


def test_pauses_grow_to_the_longest_and_start_over_after_a_success() -> None:
    backoff = Backoff(0.5, 3.0)
    assert [backoff.next_pause() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next_pause() == 0.5


def test_pauses_with_jitter_stay_within_it_and_differ() -> None:
    pauses = [Backoff(10.0, 10.0, jitter=(0.8, 1.2)).next_pause() for _ in range(20)]
    assert all(8.0 <= pause <= 12.0 for pause in pauses)
    assert len(set(pauses)) == 20


def test_a_growth_of_its_own() -> None:
    assert [Backoff(1.0, 60.0, growth=1.5).pause_after(failures) for failures in range(3)] == [1.0, 1.5, 2.25]


def test_a_longest_pause_below_the_first_is_the_longest() -> None:
    assert Backoff(1.0, 0.1).next_pause() == 0.1


def test_an_outage_of_any_length_is_no_overflow() -> None:
    backoff = Backoff(0.2, 30.0)
    assert [backoff.next_pause() for _ in range(5000)][-1] == 30.0


@pytest.mark.parametrize(
    ("remaining", "reset", "spacing"),
    [
        ("10", "20", 2.0),
        ("1000", "1", 0.001),
        ("0", "5", LONGEST_SPACING_SECONDS),
        ("1", "3600", LONGEST_SPACING_SECONDS),
        ("10", "0", 0.0),
        ("-1", "5", 0.0),
        ("many", "5", 0.0),
        ("nan", "5", 0.0),
        ("5", None, 0.0),
    ],
)
def test_the_servers_limit_is_spread_over_its_time(remaining: str, reset: str | None, spacing: float) -> None:
    rate_limit = RateLimit()
    rate_limit.update({"RateLimit-Remaining": remaining} | ({"RateLimit-Reset": reset} if reset else {}))
    assert rate_limit.spacing() == pytest.approx(spacing)


def test_an_answer_without_a_limit_leaves_it_as_it_was() -> None:
    rate_limit = RateLimit()
    rate_limit.update({"RateLimit-Remaining": "10", "RateLimit-Reset": "20"})
    rate_limit.update({})
    assert rate_limit.spacing() == 2.0
