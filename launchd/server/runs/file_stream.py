"""Decoding of `file_stream` requests: lines by stream, summary, exit code; a line's length is limited."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from launchd.server.errors import Refused
from launchd.server.models import CONSOLE, EVENTS, HISTORY, Line
from launchd.server.runs import history_keys, lenient_json

SUMMARY_FILE = "wandb-summary.json"
_STREAMS = {
    "wandb-history.jsonl": HISTORY,
    "wandb-events.jsonl": EVENTS,
    "output.log": CONSOLE,
}
_MOST_LINE_CHARACTERS = 10 * 1024 * 1024
_PIECE_LINES = 1_000
_PIECE_CHARACTERS = 2 * 1024 * 1024
_STEP_LIMIT = 2**63
_MOST_EXIT_CODE = 2**31 - 1


class _Chunk(msgspec.Struct, frozen=True):
    content: list[str] = []
    offset: int = 0


class _Body(msgspec.Struct, frozen=True):
    files: dict[str, _Chunk] | None = None
    complete: bool | None = None
    exitcode: int | None = None
    preempting: bool | None = None


class StreamUpdate(msgspec.Struct, frozen=True):
    """What one request reports of a run. An empty one is a heartbeat."""

    lines: Mapping[int, Sequence[Line]]
    """Lines by stream."""
    kinds: Mapping[int, history_keys.Kinds]
    """Kinds of values of the lines of the history, by line number."""
    summary: str | None
    preempting: bool
    exit_code: int | None
    """None while the run goes on."""

    def pieces(self) -> "Iterator[StreamUpdate]":
        """The same update in pieces, to be stored in this order: some lines each, at last all that is no line.

        Each piece is a valid update, and lines that come again are replaced: an interrupted client begins anew.
        """
        for stream, lines in self.lines.items():
            for start, end in _ranges(lines):
                piece = lines[start:end]
                yield StreamUpdate(
                    lines={stream: piece},
                    kinds={one.number: self.kinds[one.number] for one in piece} if stream == HISTORY else {},
                    summary=None,
                    preempting=False,
                    exit_code=None,
                )
        yield msgspec.structs.replace(self, lines={}, kinds={})

    def behind(self, count: int) -> "StreamUpdate":
        """Return the same update with lines of the history that are numbered from ``count``."""
        if not count or HISTORY not in self.lines:
            return self
        moved = [msgspec.structs.replace(one, number=one.number + count) for one in self.lines[HISTORY]]
        kinds = {number + count: kind for number, kind in self.kinds.items()}
        return msgspec.structs.replace(self, lines={**self.lines, HISTORY: moved}, kinds=kinds)

    @property
    def is_small(self) -> bool:
        """Whether it can be stored at once."""
        return sum(map(len, self.lines.values())) <= _PIECE_LINES and (
            sum(len(line.content) for lines in self.lines.values() for line in lines) <= _PIECE_CHARACTERS
        )


def _ranges(lines: Sequence[Line]) -> Iterator[tuple[int, int]]:
    """Start and end of the pieces of these lines."""
    start = size = 0
    for place, line in enumerate(lines):
        if place > start and (place - start == _PIECE_LINES or size + len(line.content) > _PIECE_CHARACTERS):
            yield start, place
            start, size = place, 0
        size += len(line.content)
    if start < len(lines):
        yield start, len(lines)


_decoder = msgspec.json.Decoder(_Body)


def read_update(body: bytes) -> StreamUpdate:
    """Decode a body. Files that are no stream of this server are ignored.

    Raises:
        Refused: the body is malformed, or a line is too long.
    """
    try:
        decoded = _decoder.decode(body or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(f"The body is not a file_stream request: {error}.") from error
    files = decoded.files or {}
    objects: dict[int, dict[str, object]] = {}
    lines = {_STREAMS[name]: _lines(name, chunk, objects) for name, chunk in files.items() if name in _STREAMS}
    summary = files[SUMMARY_FILE].content if SUMMARY_FILE in files else []
    return StreamUpdate(
        lines=lines,
        kinds={number: history_keys.kinds_of(line) for number, line in objects.items()},
        summary=_clean(summary[-1]) if summary else None,
        preempting=bool(decoded.preempting),
        exit_code=_exit_code(decoded),
    )


def _exit_code(decoded: _Body) -> int | None:
    """Clamped to what the database can store; any value but 0 is a failure."""
    return max(-_MOST_EXIT_CODE, min(decoded.exitcode or 0, _MOST_EXIT_CODE)) if decoded.complete else None


def _lines(name: str, chunk: _Chunk, objects: dict[int, dict[str, object]]) -> list[Line]:
    """Numbered lines; those of the history are also parsed, into `objects`."""
    lines = []
    for number, text in enumerate(chunk.content, chunk.offset):
        _check_length(name, number, text)
        step = None
        if _STREAMS[name] == HISTORY:
            objects[number] = lenient_json.load_object(text)
            step = _step(objects[number])
        lines.append(Line(number, _clean(text), step))
    return lines


def _check_length(name: str, number: int, text: str) -> None:
    if len(text) > _MOST_LINE_CHARACTERS:
        raise Refused(f"Line {number} of {name} has {len(text)} characters; at most {_MOST_LINE_CHARACTERS} are kept.")


def _step(line: Mapping[str, object]) -> int | None:
    step = line.get(history_keys.STEP)
    if isinstance(step, float) and step.is_integer():
        step = int(step)
    return step if isinstance(step, int) and abs(step) < _STEP_LIMIT else None


def _clean(text: str) -> str:
    """PostgreSQL stores no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
