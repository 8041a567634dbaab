"""The texts in which W&B's clients keep a run's config and summary. Pure functions."""

import json
from typing import Any


def decode_values(text: str | None) -> dict[str, Any]:
    """Return a JSON object that is inside a string, without what W&B's client keeps for itself in it.

    It may have NaN and infinities, which W&B's clients write as Python does.
    """
    try:
        values = json.loads(text or "{}", strict=False)
    except ValueError:
        return {}
    match values:
        case dict():
            return {name: value for name, value in values.items() if name != "_wandb"}
        case _:
            return {}


def decode_config(text: str | None) -> dict[str, Any]:
    """Return a run's config as its program gave it: W&B's client keeps each value as `{"value": ..., "desc": ...}`."""
    return {name: _plain(value) for name, value in decode_values(text).items()}


def _plain(kept: Any) -> Any:
    match kept:
        case {"value": value}:
            return value
        case _:
            return kept
