"""Sampling: even, bounded, with the first and the last value."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from launchd.server.runs.sampling import EvenSampler, spread


@given(total=st.integers(0, 5000), most=st.integers(1, 700))
def test_a_spread_is_even_and_has_both_ends(total: int, most: int) -> None:
    places = spread(total, most)
    assert len(places) == min(total, most)
    assert places == sorted(set(places))
    if total > most > 1:
        assert (places[0], places[-1]) == (0, total - 1)
        gaps = {after - before for before, after in pairwise(places)}
        assert max(gaps) - min(gaps) <= 1


@given(total=st.integers(1, 5000), most=st.integers(2, 300))
def test_a_sampler_keeps_both_ends_in_order(total: int, most: int) -> None:
    sampler = EvenSampler[int](most)
    for value in range(total):
        sampler.add(value)
    chosen = sampler.chosen()
    assert len(chosen) == min(total, most)
    assert chosen == sorted(set(chosen))
    assert (chosen[0], chosen[-1]) == (0, total - 1)
