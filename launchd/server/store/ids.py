"""Ids of what the store keeps. Owns their form: nothing in them needs quoting in a path, a URL or a label."""

import base64
import binascii
import secrets

from launchd.server.errors import Refused

HIGHEST_NUMBER = 2**31 - 1
"""The highest that a row can have."""

_LONGEST_NUMBER = 18
_VERSION = "v1"


def new_id() -> str:
    """20 random hex digits (80 bits)."""
    return secrets.token_hex(10)


def storage_id(*parts: object) -> str:
    """W&B's form of an id: base64 of words joined by colons."""
    return base64.b64encode(":".join(map(str, parts)).encode()).decode()


def parse_storage_id(text: str, *kind: str) -> list[str]:
    """What follows `kind` in an id made by `storage_id`.

    Raises:
        Refused: it is not such an id.
    """
    try:
        words = base64.b64decode(text, validate=True).decode().split(":")
    except (binascii.Error, ValueError):
        words = []
    if tuple(words[: len(kind)]) != kind or len(words) == len(kind):
        raise Refused(f"{text[:100]!r} is not an id of kind {kind[0]}.")
    return words[len(kind) :]


def names_id(kind: str, *names: str) -> str:
    """W&B's form of the id of what clients know by names: its own, its project's and its entity's."""
    return storage_id(kind, _VERSION, *names)


def parse_names(text: str, kind: str) -> tuple[str, str, str]:
    """Name, project and entity in an id made by `names_id`; what it leaves out is empty.

    Raises:
        Refused: it is not such an id.
    """
    name, project, entity = [*parse_storage_id(text, kind, _VERSION), "", ""][:3]
    return name, project, entity


def row_number(text: str) -> int | None:
    """The number of a row as a client sends it back, in an id or a cursor; one too high for any row is the highest.

    None: no server of ours wrote this.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER):
        return None
    return min(int(text), HIGHEST_NUMBER)
