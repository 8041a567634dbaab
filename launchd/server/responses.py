"""JSON answers. Owns the one form of an error body, which all of W&B's clients read: {"errors": [{"message": ...}]}."""

from typing import Any

import msgspec
from starlette.responses import Response


def json_response(status: int, content: Any) -> Response:
    """An answer with `content` as JSON."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def error_response(status: int, *messages: str) -> Response:
    """An answer that says what is wrong."""
    return json_response(status, {"errors": [{"message": message} for message in messages]})
