"""Numbers that YAML 1.1 takes for text: `1e-5` has no dot, so that a person's number arrives as a string."""

import re
from typing import Any

import msgspec

_MEANT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d{1,3}")
_MOST_WARNINGS = 20


class MeantNumbers(msgspec.Struct):
    """Reads values with such numbers in them, and keeps a warning for each, of which the first 20 are shown."""

    warnings: list[str] = msgspec.field(default_factory=list)

    def read(self, value: Any, place: str) -> Any:
        """Return the value with numbers for such texts, at any depth. `place` is where it stands, for people."""
        if isinstance(value, dict):
            return {key: self.read(inner, f"{place}.{key}") for key, inner in value.items()}
        if isinstance(value, list):
            return [self.read(inner, place) for inner in value]
        if isinstance(value, str) and _MEANT.fullmatch(value):
            return self._number(value, place)
        return value

    def _number(self, text: str, place: str) -> float:
        number = float(text)
        if len(self.warnings) < _MOST_WARNINGS:
            self.warnings.append(f"{place[:100]}: {text} is read as the number {number!r}, though to YAML it is text.")
        return number
