"""How msgspec says that a value is of another type than the one that is wanted, and JSON's types in words. Pure."""

import re
from collections.abc import Mapping

import msgspec

_OTHER_TYPE = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`(?: - at `\$(?P<place>.*)`)?")

#: The words of JSON's types for people, by msgspec's.
TYPE_WORDS: Mapping[str, str] = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number with a fraction",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


class TypeComplaint(msgspec.Struct, frozen=True):
    """A value is of the type ``given`` and must be of one of ``wanted``, by msgspec's names.

    ``place`` is where it stands below what was read, as ``.a.b[0]``; empty for the whole.
    """

    wanted: tuple[str, ...]
    given: str
    place: str


def read_type_complaint(problem: str) -> TypeComplaint | None:
    """Return what the text of a validation error complains of; None where that is no type."""
    found = _OTHER_TYPE.fullmatch(problem)
    if found is None:
        return None
    return TypeComplaint(tuple(found["wanted"].split(" | ")), found["given"], found["place"] or "")
