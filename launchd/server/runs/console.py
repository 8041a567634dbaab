"""Parsing of console lines as clients send them: `[ERROR ]<time> <text>`, or JSON."""

import re

import msgspec

from launchd.server.models import Line

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?"
_LINE = re.compile(rf"(?P<error>ERROR )?(?:(?P<time>{_TIME}) )?(?P<text>.*)", re.DOTALL)
_ERROR, _PLAIN = "error", ""


class ConsoleLine(msgspec.Struct, frozen=True):
    """One line; `timestamp` is the client's clock, as the client wrote it."""

    number: int
    line: str
    level: str
    timestamp: str | None = None
    label: str | None = None


class _Structured(msgspec.Struct, frozen=True):
    content: str
    ts: str | None = None
    level: str | None = None
    label: str | None = None


_decoder = msgspec.json.Decoder(_Structured)


def parse_line(line: Line) -> ConsoleLine:
    """The parts of a line."""
    if line.content.startswith("{"):
        try:
            decoded = _decoder.decode(line.content)
            return ConsoleLine(line.number, decoded.content, decoded.level or _PLAIN, decoded.ts, decoded.label)
        except msgspec.DecodeError:
            pass
    found = _LINE.fullmatch(line.content)
    if found is None or (found["error"] and not found["time"]):
        return ConsoleLine(line.number, line.content, _PLAIN)
    return ConsoleLine(line.number, found["text"], _ERROR if found["error"] else _PLAIN, found["time"])
