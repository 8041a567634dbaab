"""What msgspec says of a value that is of another type than the one that is wanted, in words for people. Pure."""

import re
from collections.abc import Mapping

import msgspec

_OTHER_TYPE = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`(?: - at `\$(?P<place>.*)`)?")

#: The words of JSON's types for people, by msgspec's.
_GIVEN_WORDS: Mapping[str, str] = {
    "str": "text",
    "int": "a whole number",
    "float": "a number with a fraction",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
#: The same for what is wanted: a whole number is a number, too.
_WANTED_WORDS = {**_GIVEN_WORDS, "float": "a number"}


class TypeComplaint(msgspec.Struct, frozen=True):
    """A value is of the type ``given`` and must be of one of ``wanted``, by msgspec's names.

    ``place`` is where it stands below what was read, as ``.a.b[0]``; empty for the whole.
    """

    wanted: tuple[str, ...]
    given: str
    place: str

    @property
    def given_in_words(self) -> str:
        """What the value is, such as ``a whole number``."""
        return _GIVEN_WORDS.get(self.given, self.given)

    def wanted_in_words(self, *, with_null: bool) -> str:
        """Return what it must be, such as ``text or a list``; ``with_null``: also that it may be null."""
        wanted = [one for one in self.wanted if with_null or one != "null"]
        return " or ".join(_WANTED_WORDS.get(one, one) for one in wanted)


def read_type_complaint(problem: str) -> TypeComplaint | None:
    """Return what the text of a validation error complains of; None where that is no type."""
    found = _OTHER_TYPE.fullmatch(problem)
    if found is None:
        return None
    return TypeComplaint(tuple(found["wanted"].split(" | ")), found["given"], found["place"] or "")
