"""Ids of stored objects: made, encoded in W&B's form, decoded. None needs quoting in a path, a URL or a label."""

import base64
import binascii
import secrets

from launchd.server.errors import Refused

HIGHEST_NUMBER = 2**31 - 1
"""The highest number of a row."""

_LONGEST_NUMBER = 18
_VERSION = "v1"


def new_id() -> str:
    """20 random hex digits (80 bits)."""
    return secrets.token_hex(10)


def storage_id(*parts: object) -> str:
    """W&B's form of an id: base64 of its parts joined by colons."""
    return base64.b64encode(":".join(map(str, parts)).encode()).decode()


def parse_storage_id(text: str, *kind: str) -> list[str]:
    """What follows `kind` in an id made by `storage_id`.

    Raises:
        Refused: it is not such an id.
    """
    try:
        parts = base64.b64decode(text, validate=True).decode().split(":")
    except (binascii.Error, ValueError):
        parts = []
    if tuple(parts[: len(kind)]) != kind or len(parts) == len(kind):
        raise Refused(f"{text[:100]!r} is not an id of kind {kind[0]}.")
    return parts[len(kind) :]


def names_id(kind: str, *names: str) -> str:
    """W&B's form of the id of an object that clients know by names: its own, its project's and its entity's."""
    return storage_id(kind, _VERSION, *names)


def parse_names(text: str, kind: str) -> tuple[str, str, str]:
    """Name, project and entity in an id made by `names_id`; missing parts are empty.

    Raises:
        Refused: it is not such an id.
    """
    name, project, entity = [*parse_storage_id(text, kind, _VERSION), "", ""][:3]
    return name, project, entity


def row_number(text: str) -> int | None:
    """The number of a row in an id or a cursor from a client; one too high for any row becomes the highest.

    None: the text was not made by a queue server.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER):
        return None
    return min(int(text), HIGHEST_NUMBER)
