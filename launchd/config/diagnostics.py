"""Problems, warnings and origins of the values of a configuration, in sentences for its writer.

Owns the error, and the collector that is filled while the configuration is read, so that one error has every problem.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

MAX_VALUE_LENGTH = 60
DEFAULT = "default"


class Problem(msgspec.Struct, frozen=True):
    """One wrong setting: its location and name, its value, why it cannot be used, and what would help.

    ``location`` is `file:line`, a file, a variable or a flag; ``name`` is dotted. Either may be empty.
    """

    location: str
    name: str
    what: str
    why: str
    hint: str = ""

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.location, self.name) if part)
        sentence = " ".join(part for part in (self.what, self.why) if part)
        return f"{where}: {sentence}." + (f" {self.hint}" if self.hint else "")


class ConfigError(Exception):
    """The configuration cannot be used. `problems` has every problem; `str(error)` is one line for each."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Diagnostics:
    """Collects problems, warnings and origins while a configuration is read.

    `locations` has for each dotted name where its value comes from: `file:line`, a variable or a flag. `origins` has
    the same for the values that are used, and `default` for those that were not given. `derived` has, of the latter,
    those whose value follows from another setting. `mistyped` has what may explain every problem.
    """

    def __init__(self, locations: Mapping[str, str], mistyped: tuple[Problem, ...] = ()) -> None:
        self._locations = locations
        self.mistyped = mistyped
        self._refused: set[str] = set()
        self.origins: dict[str, str] = {}
        self.derived: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def accept(self, name: str) -> None:
        """Record that the value given at the dotted name is used."""
        self.origins[name] = self._locations.get(name, DEFAULT)

    def derive(self, name: str, source: str, words: str) -> None:
        """Record that a value that was not given at the dotted name follows from ``source``, a setting too.

        ``words`` say how. Where ``source`` is a default itself, nothing is recorded.
        """
        origin = self.derived.get(source) or self.origins.get(source, DEFAULT)
        if self.origins.get(name, DEFAULT) == DEFAULT and origin != DEFAULT:
            self.derived[name] = f"{origin} ({words})"

    def refuse(self, name: str, value: Any, why: str, hint: str = "") -> None:
        """Record that the value at the dotted name cannot be used; `None` where there is no value."""
        self._refused.add(name)
        shown = "" if value is None else display_value(value)
        self.problems.append(Problem(self._location(name), name, shown, why, hint))

    def has_refused(self, name: str) -> bool:
        """Return whether the value at the dotted name was found wrong."""
        return name in self._refused

    def warn(self, name: str, sentence: str) -> None:
        """Record a setting that can be used, but has another effect than its writer may expect."""
        location = self._location(name)
        self.warnings.append(f"{location}: {name}: {sentence}" if location else f"{name}: {sentence}")

    def _location(self, name: str) -> str:
        """Return the location of a setting; a missing one has that of the section that lacks it, if there is one."""
        outer = name
        while outer not in self._locations and "." in outer:
            outer = outer.rpartition(".")[0]
        return self._locations.get(outer, "")


def display_value(value: Any) -> str:
    """Return a value as it is shown in a message, shortened."""
    if isinstance(value, dict):
        return "this mapping"
    if isinstance(value, list):
        return "this list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of that many digits"  # Python itself refuses to print the longest of them
    text = repr(value)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}..."


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that the writer may have meant."""
    normal = {candidate.replace("-", "_").lower(): candidate for candidate in known}
    matches = get_close_matches(name.replace("-", "_").lower(), normal, n=1)
    return normal[matches[0]] if matches else None
