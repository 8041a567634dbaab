"""What is wrong with a configuration, in words for the person who wrote it.

Owns the error and the report that collects problems, warnings and origins while the configuration is read: everything
that is wrong is told at once.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

LONGEST_VALUE = 60
DEFAULT = "default"


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: where it stands, what stands there, why that cannot be, and what would help."""

    where: str
    what: str
    why: str
    hint: str = ""

    def __str__(self) -> str:
        sentence = " ".join(part for part in (self.what, self.why) if part)
        return f"{self.where}: {sentence}." + (f" {self.hint}" if self.hint else "")


class ConfigError(Exception):
    """The configuration cannot be used. `problems` has all of them; `str(error)` is one line for each."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Diagnostics:
    """Collects what is found while a configuration is read.

    `places` says for each dotted name where its value stands: `file:line`, a variable or a flag. `origins` has the same
    for the values that are used, and `default` for those that nobody gave.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._refused: set[str] = set()
        self.origins: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def accept(self, name: str) -> None:
        """Note that the value given at the dotted name is used."""
        self.origins[name] = self._places.get(name, DEFAULT)

    def refuse(self, name: str, value: Any, why: str, hint: str = "") -> None:
        """Note that the value at the dotted name cannot be used; `None` where there is no value."""
        self._refused.add(name)
        self.problems.append(Problem(self._where(name), "" if value is None else display_value(value), why, hint))

    def has_refused(self, name: str) -> bool:
        """Return whether the value at the dotted name was found wrong."""
        return name in self._refused

    def warn(self, name: str, sentence: str) -> None:
        """Note something that works, but not as its writer may think."""
        self.warnings.append(f"{self._where(name)}: {sentence}")

    def _where(self, name: str) -> str:
        """Return the name and its place; what is missing is looked for where the block that lacks it stands."""
        outer = name
        while outer not in self._places and "." in outer:
            outer = outer.rpartition(".")[0]
        place = self._places.get(outer)
        return f"{place}: {name}" if place else name


def display_value(value: Any) -> str:
    """Return a value as people see it in a message, shortened."""
    if isinstance(value, dict):
        return "this mapping"
    if isinstance(value, list):
        return "this list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of that many digits"  # Python itself refuses to print the longest of them
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that the writer may have meant."""
    normal = {candidate.replace("-", "_").lower(): candidate for candidate in known}
    matches = get_close_matches(name.replace("-", "_").lower(), normal, n=1)
    return normal[matches[0]] if matches else None
