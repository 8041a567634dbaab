"""Decoding of GraphQL request bodies, with the tolerance that W&B's clients need."""

import json
import re
from typing import Any

import msgspec

from launchd.server.errors import Refused


class Envelope(msgspec.Struct, frozen=True):
    """One request. Unknown keys are ignored, and so are variables that the document does not declare."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(default=None, name="operationName")


_MOST_VALUES = 1_000_000
"""Counted by the signs `,[{` anywhere in the body: a decoded value costs ten times the memory of its text."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_decoder = msgspec.json.Decoder(Envelope)


def read_envelope(body: bytes) -> Envelope:
    """Decode a request body.

    Raises:
    Refused: not JSON, or not a GraphQL request.
    """
    if sum(body.count(sign) for sign in b",[{") > _MOST_VALUES:
        raise Refused(f"The body holds more than {_MOST_VALUES} values, the most this server takes.")
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(f"The body is not a GraphQL request: {error}.") from error


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _decode(body: bytes) -> Envelope:
    """Python's clients send half of a surrogate pair as it is; what takes the text decides about it."""
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError:
        if not _SURROGATE.search(body):
            raise
        try:
            return msgspec.convert(json.loads(body, parse_constant=_refuse_constant), Envelope)
        except ValueError:
            pass
        raise
