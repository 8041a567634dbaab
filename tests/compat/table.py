"""The table of docs/compatibility.md: its rows in their order, what a test run found for each, and the page's text."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.compat.clients import VERSIONS
from tests.compat.commands import SECTIONS

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- written by the tests -->\n", "<!-- end -->"


@dataclass
class Table:
    """What a run found: for each command and version, that it works, or the reasons why it does not."""

    crosses: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def works(self, command: str, version: str) -> None:
        self.crosses.setdefault((command, version), set())

    def does_not_work(self, command: str, version: str, reason: str) -> None:
        self.crosses.setdefault((command, version), set()).add(reason)

    @property
    def missing(self) -> list[tuple[str, str]]:
        """Commands and versions of which the run says nothing."""
        cells = ((row, version) for rows in SECTIONS.values() for row in rows for version in VERSIONS)
        return [cell for cell in cells if cell not in self.crosses]

    def written_into(self, page: str) -> str:
        """Return ``page`` with the table between its two marks."""
        head, rest = page.split(BEGIN)
        return f"{head}{BEGIN}{self.markdown()}{END}{rest.split(END, 1)[1]}"

    def markdown(self) -> str:
        notes: dict[str, int] = {}
        sections = [self._section(name, rows, notes) for name, rows in SECTIONS.items()]
        reasons = "".join(f"{number}. {reason}\n" for reason, number in notes.items())
        return "\n".join([*sections, f"## Why not\n\n{reasons}" if reasons else ""]).rstrip("\n") + "\n"

    def _section(self, name: str, rows: tuple[str, ...], notes: dict[str, int]) -> str:
        head = " | ".join(["Command", *VERSIONS])
        lines = [f"| {head} |", f"|---{'|:-:' * len(VERSIONS)}|", *self._rows(rows, notes)]
        return "\n".join([f"## {name}", "", *lines, ""])

    def _rows(self, rows: tuple[str, ...], notes: dict[str, int]) -> Iterator[str]:
        for row in rows:
            cells = (_cell(self.crosses[row, version], notes) for version in VERSIONS)
            yield f"| {row} | {' | '.join(cells)} |"


def _cell(reasons: set[str], notes: dict[str, int]) -> str:
    if not reasons:
        return "✓"
    numbers = sorted(_number(reason, notes) for reason in sorted(reasons))
    return f"✗ {', '.join(map(str, numbers))}"


def _number(reason: str, notes: dict[str, int]) -> int:
    return notes.setdefault(reason, len(notes) + 1)
