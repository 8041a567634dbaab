"""Reading what a run logged: whole lines or single keys, sampled. Owns how much one read may walk through.

A long history is walked in pieces, each a read of its own, so that one curious client does not keep the others waiting.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Connection

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
"""The highest number that a step can have."""
_PIECE = 5_000

T = TypeVar("T")

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_./ -]+", re.ASCII)


class Spec(msgspec.Struct, frozen=True):
    """One of `sampledHistory`'s specs, in W&B's words."""

    keys: list[str] = []
    samples: int = DEFAULT_SAMPLES
    min_step: int | None = msgspec.field(default=None, name="minStep")
    max_step: int | None = msgspec.field(default=None, name="maxStep")

    def steps(self) -> tuple[int, int]:
        """The first step, and the one behind the last.

        Wandb 0.31 names the last step that it wants, and wants as many samples as there are steps; 0.20 names the step
        behind that.
        """
        first = self.min_step or 0
        if self.max_step is None:
            return first, LAST_STEP
        counts_both_ends = self.samples == self.max_step - first + 1
        return first, self.max_step + 1 if counts_both_ends else self.max_step


_spec_decoder = msgspec.json.Decoder(Spec, strict=False)


def read_specs(texts: Sequence[str]) -> list[Spec]:
    """Raises:
    Refused: too many, or one of them is not such a spec.
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
    numbers = spread(total, bounded(samples))
    return [line.content for line in await context.read(run_lines.some, found.id, stream, numbers)]


async def lines_of_steps(context: Context, found: Run, first: int, end: int, samples: int) -> list[str]:
    """Lines of the history whose step is in this range, the end not included; sampled where there are more."""
    wanted = _Extraction[str](lambda line: [line.content])
    return (await _walk_steps(context, found, (first, end), wanted, EvenSampler(bounded(samples)))).chosen()


async def sampled_values(context: Context, found: Run, spec: Spec) -> list[dict[str, Any]]:
    """Of each chosen line the keys of the spec; only lines that have them all. Without keys: whole lines."""
    keys = history_keys.decode(found.history_keys)
    counts = [keys.count(key) for key in spec.keys]
    if 0 in counts:
        return []
    by_step = spec.min_step is not None or spec.max_step is not None
    if not by_step and all(count == found.history_lines for count in counts):
        lines = await sampled_lines(context, found, HISTORY, spec.samples)
        return list(values_of(lines, spec.keys))
    wanted = _Extraction(lambda line: values_of([line.content], spec.keys), _words(spec.keys))
    sampler = EvenSampler[dict[str, Any]](bounded(spec.samples))
    if by_step:
        return (await _walk_steps(context, found, spec.steps(), wanted, sampler)).chosen()
    return (await _walk_numbers(context, found, wanted, sampler)).chosen()


@dataclass(frozen=True)
class _Extraction(Generic[T]):
    """What is taken from a line, and words without which a line is not even looked at."""

    extract: Callable[[Line], Iterable[T]]
    words: Sequence[str] = ()


def _words(keys: Sequence[str]) -> list[str]:
    """What must stand in a line that has these keys, as far as JSON has only one way to write them."""
    return [f'{key.rpartition(".")[2]}"' for key in keys if _PLAIN_KEY.fullmatch(key)]


def values_of(lines: list[str], keys: list[str]) -> Iterator[dict[str, Any]]:
    """Of each line the keys; only lines that have them all. Without keys: whole lines."""
    for text in lines:
        line = lenient_json.load_object(text)
        values = {key: history_keys.value_at(line, key) for key in keys} if keys else line
        if not keys or all(value is not None for value in values.values()):
            yield lenient_json.stringify_non_finite(values)


def bounded(samples: int | None) -> int:
    """A number of samples this server gives out."""
    return min(max(1, samples if samples is not None else DEFAULT_SAMPLES), _MOST_SAMPLES)


async def _walk_numbers(
    context: Context, found: Run, wanted: _Extraction[T], sampler: EvenSampler[T]
) -> EvenSampler[T]:
    for first in range(0, found.history_lines, _PIECE):

        def piece(connection: Connection, first: int = first, before: EvenSampler[T] = sampler) -> EvenSampler[T]:
            end = first + _PIECE
            lines = run_lines.by_number(connection, found.id, HISTORY, first, end, wanted.words)
            return _sample(lines, before, wanted)[0]

        sampler = await context.read(piece)
    return sampler


async def _walk_steps(
    context: Context, found: Run, steps: tuple[int, int], wanted: _Extraction[T], sampler: EvenSampler[T]
) -> EvenSampler[T]:
    """Steps may have holes, so each piece goes on behind the last line of the one before."""
    first, end = (max(-LAST_STEP, min(step, LAST_STEP)) for step in steps)
    after: Line | None = Line(-1, "", first)
    while after is not None:

        def piece(
            connection: Connection, after: Line = after, before: EvenSampler[T] = sampler
        ) -> tuple[EvenSampler[T], Line | None]:
            lines = run_lines.by_step(connection, found.id, after.step or 0, end, wanted.words)
            behind = (line for line in lines if (line.step, line.number) > (after.step, after.number))
            return _sample(islice(behind, _PIECE), before, wanted)

        sampler, after = await context.read(piece)
    return sampler


def _sample(
    lines: Iterable[Line], before: EvenSampler[T], wanted: _Extraction[T]
) -> tuple[EvenSampler[T], Line | None]:
    """The sieve with these lines in it, and the last line if there may be more. A copy: a read may be run again."""
    sampler, last, taken = before.copy(), None, 0
    for line in lines:
        for value in wanted.extract(line):
            sampler.add(value)
        last, taken = line, taken + 1
    return sampler, last if taken == _PIECE else None
