"""Reading the lines that a run logged: whole lines or single keys, sampled.

A long history is read in pieces, each in a transaction of its own, so that one client does not delay the others.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Connection

from launchd.server.answer_budget import AnswerBudget, size_of
from launchd.server.context import Context
from launchd.server.errors import Refused
from launchd.server.models import HISTORY, Line, Run
from launchd.server.runs import history_keys, lenient_json
from launchd.server.runs.sampling import EvenSampler, spread
from launchd.server.store.runs import lines as run_lines

DEFAULT_SAMPLES = 500
_MOST_SAMPLES = 10_000
_MOST_SPECS = 100
LAST_STEP = 2**63 - 1
"""The highest possible step."""
_PIECE = 5_000
_MOST_BYTES = 2**40

T = TypeVar("T")

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_./ -]+", re.ASCII)


class Spec(msgspec.Struct, frozen=True):
    """One of `sampledHistory`'s specs, under W&B's names."""

    keys: list[str] = []
    samples: int = DEFAULT_SAMPLES
    min_step: int | None = msgspec.field(default=None, name="minStep")
    max_step: int | None = msgspec.field(default=None, name="maxStep")

    def steps(self) -> tuple[int, int]:
        """The first step, and the one after the last.

        Wandb 0.31 sends the last step itself, with as many samples as there are steps; 0.20 sends the step after it.
        """
        first = self.min_step or 0
        if self.max_step is None:
            return first, LAST_STEP
        counts_both_ends = self.samples == self.max_step - first + 1
        return first, self.max_step + 1 if counts_both_ends else self.max_step


_spec_decoder = msgspec.json.Decoder(Spec, strict=False)


def read_specs(texts: Sequence[str]) -> list[Spec]:
    """Raises:
    Refused: too many, or one of them is malformed.
    """
    if len(texts) > _MOST_SPECS:
        raise Refused(f"sampledHistory answers at most {_MOST_SPECS} specs at once.")
    return [_read_spec(text) for text in texts]


def _read_spec(text: str) -> Spec:
    try:
        return _spec_decoder.decode(text)
    except msgspec.DecodeError as error:
        raise Refused(f"A spec of sampledHistory is wrong: {error}.") from error


async def sampled_lines(context: Context, found: Run, stream: int, samples: int) -> list[str]:
    """Whole lines of a stream, evenly sampled."""
    total = found.history_lines if stream == HISTORY else found.event_lines
    return await _extract(context, found, stream, spread(total, bounded(samples)), _WHOLE_LINES)


async def values_of_line(context: Context, found: Run, number: int, keys: list[str]) -> list[dict[str, Any]]:
    """The keys of one line of the history; nothing where it lacks one of them, or does not exist."""
    return await _extract(context, found, HISTORY, [number], _values_of(keys))


async def lines_of_steps(context: Context, found: Run, first: int, end: int, samples: int) -> list[str]:
    """Lines of the history with `first` <= step < `end`, sampled where there are more than `samples`."""
    sampler = _sampler_of(context, samples, _WHOLE_LINES)
    return _chosen(context, await _walk_steps(context, found, (first, end), _WHOLE_LINES, sampler))


async def sampled_values(context: Context, found: Run, spec: Spec) -> list[dict[str, Any]]:
    """The spec's keys of each sampled line; only lines that have them all. Without keys: whole lines."""
    keys = history_keys.decode(found.history_keys)
    counts = [keys.count(key) for key in spec.keys]
    if 0 in counts:
        return []
    by_step = spec.min_step is not None or spec.max_step is not None
    if not by_step and all(count == found.history_lines for count in counts):
        numbers = spread(found.history_lines, bounded(spec.samples))
        return await _extract(context, found, HISTORY, numbers, _values_of(spec.keys))
    wanted = _values_of(spec.keys)
    sampler = _sampler_of(context, spec.samples, wanted)
    if by_step:
        return _chosen(context, await _walk_steps(context, found, spec.steps(), wanted, sampler))
    return _chosen(context, await _walk_numbers(context, found, wanted, sampler))


async def _extract(
    context: Context, found: Run, stream: int, numbers: Sequence[int], wanted: "_Extraction[T]"
) -> list[T]:
    """What is extracted from these lines, which counts as read into the answer while they are read."""

    def work(connection: Connection) -> list[T]:
        values = []
        for line in run_lines.some(connection, found.id, stream, numbers):
            for value in wanted.extract(line):
                context.answer.take(wanted.size_of(value))
                values.append(value)
        return values

    return await context.read(work)


def _sampler_of(context: Context, samples: int | None, wanted: "_Extraction[T]") -> EvenSampler[T]:
    return EvenSampler(bounded(samples), wanted.size_of, context.answer.limit)


def _chosen(context: Context, sampler: EvenSampler[T]) -> list[T]:
    """The samples, which count as read into the answer."""
    context.answer.take(sampler.chosen_size())
    return sampler.chosen()


@dataclass(frozen=True)
class _Extraction(Generic[T]):
    """What is extracted from a line, its size, and substrings without which a line is not parsed."""

    extract: Callable[[Line], Iterable[T]]
    size_of: Callable[[T], int]
    substrings: Sequence[str] = ()


_WHOLE_LINES = _Extraction[str](lambda line: [line.content], len)


def _values_of(keys: list[str]) -> _Extraction[dict[str, Any]]:
    return _Extraction(
        lambda line: _values_in(line.content, keys), lambda values: size_of(values, _MOST_BYTES), _substrings(keys)
    )


def _substrings(keys: Sequence[str]) -> list[str]:
    """Substrings of every line that has these keys, as far as JSON has only one way to write them."""
    return [f'{key.rpartition(".")[2]}"' for key in keys if _PLAIN_KEY.fullmatch(key)]


def _values_in(text: str, keys: list[str]) -> Iterator[dict[str, Any]]:
    """The keys of a line, if it has them all. Without keys: the whole line."""
    line = lenient_json.load_object(text)
    values = {key: history_keys.value_at(line, key) for key in keys} if keys else line
    if not keys or all(value is not None for value in values.values()):
        yield lenient_json.stringify_non_finite(values)


def bounded(samples: int | None) -> int:
    """The number of samples, within the server's limits."""
    return min(max(1, samples if samples is not None else DEFAULT_SAMPLES), _MOST_SAMPLES)


async def _walk_numbers(
    context: Context, found: Run, wanted: _Extraction[T], sampler: EvenSampler[T]
) -> EvenSampler[T]:
    for first in range(0, found.history_lines, _PIECE):

        def piece(connection: Connection, first: int = first, before: EvenSampler[T] = sampler) -> EvenSampler[T]:
            end = first + _PIECE
            lines = run_lines.by_number(connection, found.id, HISTORY, first, end, wanted.substrings)
            return _sample(lines, before, wanted, context.answer)[0]

        sampler = await context.read(piece)
    return sampler


async def _walk_steps(
    context: Context, found: Run, steps: tuple[int, int], wanted: _Extraction[T], sampler: EvenSampler[T]
) -> EvenSampler[T]:
    """Steps may have gaps, so each piece continues after the last line of the one before."""
    first, end = (max(-LAST_STEP, min(step, LAST_STEP)) for step in steps)
    after: Line | None = Line(-1, "", first)
    while after is not None:

        def piece(
            connection: Connection, after: Line = after, before: EvenSampler[T] = sampler
        ) -> tuple[EvenSampler[T], Line | None]:
            lines = run_lines.by_step(connection, found.id, after.step or 0, end, wanted.substrings)
            behind = (line for line in lines if (line.step, line.number) > (after.step, after.number))
            return _sample(islice(behind, _PIECE), before, wanted, context.answer)

        sampler, after = await context.read(piece)
    return sampler


def _sample(
    lines: Iterable[Line], before: EvenSampler[T], wanted: _Extraction[T], answer: AnswerBudget
) -> tuple[EvenSampler[T], Line | None]:
    """A copy of the sampler with these lines added (a read may be repeated), and the last line if there may be more."""
    sampler, last, taken = before.copy(), None, 0
    for line in lines:
        answer.go_on()
        for value in wanted.extract(line):
            sampler.add(value)
        if sampler.is_full:
            raise answer.too_big()
        last, taken = line, taken + 1
    return sampler, last if taken == _PIECE else None
