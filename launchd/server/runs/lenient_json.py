"""JSON as W&B's clients write it, with bare NaN and Infinity: reading, writing, and conversion to standard JSON."""

import json
import math
from typing import Any

import msgspec


def loads(text: str) -> Any:
    """The value of `text`. Raises `ValueError` if it is not JSON even in this form."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return json.loads(text, strict=False)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def load_object(text: str | None) -> dict[str, Any]:
    """The object in `text`; {} where there is none."""
    try:
        value = loads(text) if text else None
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}


def dumps(value: Any) -> str:
    """`value` as compact JSON with bare NaN and Infinity."""
    return json.dumps(value, separators=(",", ":"))


def stringify_non_finite(value: Any) -> Any:
    """The value with strings for the numbers that JSON lacks: "NaN", "Infinity", "-Infinity", as W&B has them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: stringify_non_finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [stringify_non_finite(inner) for inner in value]
    return value
