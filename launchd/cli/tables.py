"""Tables for a terminal, as lines: columns as wide as their content, the last one cut to the terminal's width.

Where the last column would be too narrow to read, its text has the next line to itself.
"""

import shutil
import sys
from collections.abc import Sequence

from ipc.visible_text import visible
from launchd.cli.terminal import Line, Span

GAP = "  "

#: The last column is no narrower than this, however narrow the terminal is.
MIN_LAST_WIDTH = 12

#: A last column of less width than this is too narrow for a sentence.
READABLE_WIDTH = 50

#: Indent of a last column on a line of its own.
OWN_LINE_INDENT = "    "

#: Width where the output goes to a file or another program: nothing is cut.
UNLIMITED_WIDTH = 100_000


def terminal_width() -> int:
    """Return the columns of the terminal, :data:`UNLIMITED_WIDTH` where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED_WIDTH


def table(headers: Sequence[str], rows: Sequence[Sequence[Span]], width: int, indent: str = "") -> list[Line]:
    """Return the lines of a table; the last column is cut so that no line is longer than ``width``."""
    # What is obeyed by no terminal is wider than what is.
    rows = [[cell._replace(text=visible(cell.text)) for cell in row] for row in rows]
    columns = zip([Span(text) for text in headers], *rows, strict=True)
    widths = [max(len(cell.text) for cell in column) for column in columns]
    used = len(indent) + sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
    widths[-1] = max(MIN_LAST_WIDTH, width - used)
    lines = [_line([Span(text, "bright_black") for text in headers], widths)]
    for row in rows:
        lines += _lines(row, widths, width - len(indent))
    return [[Span(indent), *line] for line in lines]


def _lines(cells: Sequence[Span], widths: Sequence[int], width: int) -> list[list[Span]]:
    *front, last = cells
    if len(last.text) <= widths[-1] or widths[-1] >= READABLE_WIDTH:
        return [_line(cells, widths)]
    return [
        _line([*front, Span("")], widths),
        [Span(OWN_LINE_INDENT), last._replace(text=cut(last.text, width - len(OWN_LINE_INDENT)))],
    ]


def _line(cells: Sequence[Span], widths: Sequence[int]) -> list[Span]:
    *front, last = (cell._replace(text=cut(cell.text, width)) for cell, width in zip(cells, widths, strict=True))
    padded = [cell._replace(text=cell.text.ljust(width)) for cell, width in zip(front, widths, strict=False)]
    return [*(span for cell in padded for span in (cell, Span(GAP))), last]


def cut(text: str, width: int) -> str:
    """Return ``text``, shortened to ``width`` characters if it is longer."""
    return text if len(text) <= width else f"{text[: max(0, width - 3)].rstrip()}..."
