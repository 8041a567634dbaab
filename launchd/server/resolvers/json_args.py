"""Arguments of GraphQL fields that carry a JSON object as text."""

import json
from typing import Any

import msgspec

from launchd.server.errors import Refused


def parse_object(text: str | None, what: str) -> dict[str, Any]:
    """The JSON object in `text`; {} for None and for null.

    Raises:
        Refused: not JSON, or not an object; `what` names it to the caller.
    """
    try:
        value = msgspec.json.decode(text) if text else None
    except RecursionError as error:
        raise Refused(f"{what} is nested too deeply.") from error
    except msgspec.DecodeError as error:
        raise Refused(f"{what} is not JSON: {error}.") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(f"{what} must be a JSON object, not {json.dumps(value)[:60]}.")
    return value
