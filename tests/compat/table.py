"""The table of docs/compatibility.md: its rows in their order, what a test run found for each, and the page's text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.compat.clients import VERSIONS
from tests.compat.commands import SECTIONS

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- written by the tests -->\n", "<!-- end -->"
WORKS, DOES_NOT_WORK = "✓", "✗"
_REASON = re.compile(r"^(\d+)\. (.*)$", re.MULTILINE)


@dataclass
class Table:
    """What is known: for each command and version, that it works, or the reasons why it does not."""

    crosses: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    @classmethod
    def of_page(cls, page: str) -> "Table":
        """Return what the page says of today's commands and versions."""
        text = page.partition(BEGIN)[2].partition(END)[0]
        table, versions = cls(), list[str]()
        reasons = dict(_REASON.findall(text))
        for line in text.splitlines():
            name, *cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
            if name == "Command":
                versions = cells
            for version, cell in zip(versions, cells, strict=False):
                table._read(name, version, cell, reasons)
        return table

    def _read(self, name: str, version: str, cell: str, reasons: dict[str, str]) -> None:
        mark, _, numbers = cell.partition(" ")
        if mark in (WORKS, DOES_NOT_WORK):
            known = (reasons[number] for number in numbers.split(", ") if number in reasons)
            self.crosses[name, version] = set(known)

    def works(self, command: str, version: str) -> None:
        self.crosses.setdefault((command, version), set())

    def does_not_work(self, command: str, version: str, reason: str) -> None:
        self.crosses.setdefault((command, version), set()).add(reason)

    def missing(self, version: str) -> list[str]:
        """Commands of which nothing is known with this version."""
        return [row for rows in SECTIONS.values() for row in rows if (row, version) not in self.crosses]

    def learn(self, found: "Table") -> None:
        """Take over what a run found.

        A cross goes only where the run tried everything with that version: a command may be decided by several tests,
        of which those that pass say nothing against the cross.
        """
        whole = [version for version in VERSIONS if not found.missing(version)]
        for (row, version), reasons in found.crosses.items():
            if reasons or version in whole or not self.crosses.get((row, version)):
                self.crosses[row, version] = reasons

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
            cells = (_cell(self.crosses.get((row, version)), notes) for version in VERSIONS)
            yield f"| {row} | {' | '.join(cells)} |"


def _cell(reasons: set[str] | None, notes: dict[str, int]) -> str:
    if reasons is None:
        return ""
    if not reasons:
        return WORKS
    numbers = sorted(_number(reason, notes) for reason in sorted(reasons))
    return f"{DOES_NOT_WORK} {', '.join(map(str, numbers))}"


def _number(reason: str, notes: dict[str, int]) -> int:
    return notes.setdefault(reason, len(notes) + 1)
