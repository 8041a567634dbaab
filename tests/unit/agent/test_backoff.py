"""How often an idle agent asks: soon after a job, then less and less often, never slower than W&B's agent."""

import itertools

import pytest

from launchd.agent.server_link.backoff import Backoff
from launchd.client.ratelimit import LONGEST_SPACING_SECONDS, RateLimit


def test_pauses_grow_to_the_longest_and_start_over_after_a_job() -> None:
    pace = Backoff(10.0)
    pauses = [pace.next_pause() for _ in range(9)]
    assert 0.8 <= pauses[0] <= 1.0
    assert all(after > before * 0.9 for before, after in itertools.pairwise(pauses[:6]))
    assert 8.0 <= pauses[-1] <= 10.0
    pace.reset()
    assert pace.next_pause() <= 1.0


def test_agents_do_not_ask_in_step() -> None:
    assert len({Backoff(10.0).next_pause() for _ in range(20)}) == 20


def test_a_short_longest_pause_is_the_longest() -> None:
    pace = Backoff(0.1)
    assert max(pace.next_pause() for _ in range(5)) <= 0.1


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
    allowance = RateLimit()
    allowance.update({"RateLimit-Remaining": remaining} | ({"RateLimit-Reset": reset} if reset else {}))
    assert allowance.spacing() == pytest.approx(spacing)


def test_an_answer_without_a_limit_leaves_it_as_it_was() -> None:
    allowance = RateLimit()
    allowance.update({"RateLimit-Remaining": "10", "RateLimit-Reset": "20"})
    allowance.update({})
    assert allowance.spacing() == 2.0
