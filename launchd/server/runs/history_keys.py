"""The keys of a history: kinds of values, counts, the last step, in the form that clients read.

Keys of objects inside a line are joined by dots ("layer.weight"), except where the object is one of W&B's media.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_MOST_KEYS = 10_000
_DEEPEST = 8
STEP = "_step"

Kinds = Mapping[str, tuple[str, float | None]]
"""For one line: the kind of each key's value, and the value where it is a number."""


class KeyInfo(msgspec.Struct):
    """What is known of one key so far."""

    counts: dict[str, int] = {}
    monotonic: bool = True
    previous: float | None = None


class HistoryKeys(msgspec.Struct):
    """All keys so far. `last_step` is -1 while there is none."""

    keys: dict[str, KeyInfo] = {}
    last_step: int = -1

    def add_line(self, kinds: Kinds) -> None:
        """Add one more line."""
        for key, (kind, number) in kinds.items():
            info = self.keys.get(key)
            if info is None:
                if len(self.keys) >= _MOST_KEYS:
                    continue
                info = self.keys[key] = KeyInfo(counts={})
            info.counts[kind] = info.counts.get(kind, 0) + 1
            if number is not None:
                info.monotonic = info.monotonic and (info.previous is None or number >= info.previous)
                info.previous = number
        step = kinds.get(STEP, ("", None))[1]
        if step is not None:
            self.last_step = max(self.last_step, int(step))

    def count(self, key: str) -> int | None:
        """How many lines have the key; None where that is unknown."""
        info = self.keys.get(key)
        if info is None:
            return None if len(self.keys) >= _MOST_KEYS else 0
        return sum(info.counts.values())

    def to_json(self) -> dict[str, Any]:
        """The form that clients read."""
        keys = {
            key: {
                "typeCounts": [{"type": kind, "count": count} for kind, count in info.counts.items()],
                "monotonic": info.monotonic,
                "previousValue": info.previous if info.previous is not None else -1,
            }
            for key, info in self.keys.items()
        }
        return {"keys": keys, "sets": [], "lastStep": self.last_step}


_decoder = msgspec.json.Decoder(HistoryKeys)


def decode(text: str | None) -> HistoryKeys:
    """Decode the column of a run's row; None gives no keys."""
    return _decoder.decode(text) if text else HistoryKeys(keys={})


def encode(keys: HistoryKeys) -> str:
    """Encode for the column of a run's row."""
    return msgspec.json.encode(keys).decode()


def kinds_of(line: Mapping[str, Any]) -> dict[str, tuple[str, float | None]]:
    """Kinds of the values of one line."""
    return dict(_kinds(line, "", _DEEPEST))


def _kinds(values: Mapping[str, Any], prefix: str, deepest: int) -> Iterator[tuple[str, tuple[str, float | None]]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and "_type" not in value and deepest:
            yield from _kinds(value, f"{name}.", deepest - 1)
        else:
            yield name, _kind(value)


def _kind(value: Any) -> tuple[str, float | None]:
    if isinstance(value, bool) or value is None:
        return ("nil" if value is None else "boolean"), None
    if isinstance(value, int | float):
        finite = value == value and abs(value) != float("inf")
        return "number", value if finite else None
    if isinstance(value, dict):
        return str(value.get("_type", "map")), None
    return ("string" if isinstance(value, str) else "list"), None


def value_at(line: Mapping[str, Any], key: str) -> Any:
    """Value of a key, which may be a path joined by dots; None where there is none."""
    if key in line:
        return line[key]
    value: Any = line
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def number_at(line: Mapping[str, Any], key: str) -> float | None:
    """Value of a key, as of `value_at`; None where it is no finite number."""
    value = value_at(line, key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
