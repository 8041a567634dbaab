"""Budgets of answers, samplers that keep within one, and streams in pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchd.server.answer_budget import AnswerBudget, size_of
from launchd.server.errors import Refused, StoreUnavailable
from launchd.server.models import CONSOLE, HISTORY
from launchd.server.runs.file_stream import StreamUpdate, read_update
from launchd.server.runs.sampling import EvenSampler

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**6) | st.text("abc", max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("abc", max_size=5), inner, max_size=5),
)


@given(VALUES)
def test_the_size_is_about_that_of_the_json(value: object) -> None:
    written = len(json.dumps(value))
    assert written / 6 - 8 <= size_of(value, 10**9) <= 8 * written + 8


def test_counting_ends_when_it_is_enough() -> None:
    text = "x" * 1000
    assert size_of([text] * 10**6, 5000) < 10_000
    with pytest.raises(Refused, match="more than 5000 bytes"):
        AnswerBudget(5000).check({"a": [text] * 6})


def test_what_is_read_counts_together() -> None:
    budget = AnswerBudget(100)
    budget.take_texts("x" * 60, None)
    budget.take(40)
    with pytest.raises(Refused, match="ask for fewer fields, or for shorter pages"):
        budget.take(1)


def test_nothing_more_is_read_for_an_answer_that_nobody_waits_for() -> None:
    budget = AnswerBudget(100)
    budget.give_up()
    with pytest.raises(StoreUnavailable, match="given up"):
        budget.go_on()


def test_a_sampler_keeps_fewer_where_they_are_big_but_never_too_few() -> None:
    small, big = (EvenSampler[str](10, len, 1000) for _ in range(2))
    for _ in range(500):
        small.add("x" * 10)
        if not big.is_full:
            big.add("x" * 500)
    assert (len(small.chosen()), small.is_full, small.chosen_size()) == (10, False, 100)
    assert big.is_full


def lines_of(update: StreamUpdate, stream: int) -> list[tuple[int, str]]:
    return [(line.number, line.content) for line in update.lines.get(stream, ())]


@pytest.mark.parametrize(("count", "width", "least"), [(1, 10, 1), (2500, 10, 3), (30, 300_000, 4)])
def test_pieces_are_small_and_make_up_the_whole(count: int, width: int, least: int) -> None:
    history = [json.dumps({"_step": step, "a": "x" * width}) for step in range(count)]
    files = {
        "wandb-history.jsonl": {"offset": 7, "content": history},
        "output.log": {"offset": 0, "content": ["z"] * count},
        "wandb-summary.json": {"content": ["{}"]},
    }
    update = read_update(json.dumps({"files": files, "complete": True, "exitcode": 3}).encode())
    assert update.is_small is (count == 1)
    pieces = list(update.pieces())
    assert len(pieces) > least
    assert all(piece.is_small for piece in pieces)
    for stream in (HISTORY, CONSOLE):
        assert [line for piece in pieces for line in lines_of(piece, stream)] == lines_of(update, stream)
    assert {number: kinds for piece in pieces for number, kinds in piece.kinds.items()} == update.kinds
    assert [(piece.summary, piece.exit_code) for piece in pieces] == [(None, None)] * (len(pieces) - 1) + [("{}", 3)]
