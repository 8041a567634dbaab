"""What the command line prints: the one place where text becomes output.

Names, reasons and messages of others are shown, and obeyed by no terminal: what is printed has no control characters
but the line breaks and the colours that are put in here. Only `launchd logs` and `launchd launch` print a job's output
past this module.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

from ipc.visible_text import visible

#: Escape sequences: cursor to the top left; clear the rest of the line; clear the screen below.
_TOP, _END_OF_LINE, _END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"

#: Back to the start of the line, which is cleared.
_SAME_LINE = "\r\x1b[K"

#: How long nothing has happened when a clock is shown, in seconds.
CLOCK_AFTER_SECONDS = 2.0

#: Before the second and later lines of an error, so that none can be taken for the program's own word.
_ERROR_INDENT = "  "


class Span(NamedTuple):
    """A part of a line: a text, and its colour, one of click's names."""

    text: str
    colour: str | None = None
    bold: bool = False


#: A line of output: a text, or parts with colours of their own.
Line = str | Sequence[Span]


def echo(*lines: Line, err: bool = False) -> None:
    """Print lines, on standard error with ``err``; without any, an empty one."""
    click.echo("\n".join(map(rendered, lines)), err=err)


def echo_json(value: Any) -> None:
    """Print a value as JSON, in ASCII."""
    # The one control character that JSON may hold as it is.
    click.echo(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))


def confirm(question: str) -> None:
    """Ask a question; any answer but yes ends the command, and says that nothing was done."""
    try:
        if click.confirm(question):
            return
    except click.Abort:
        echo(err=True)
        if not sys.stdin.isatty():
            raise click.ClickException("Nothing was done: there is no terminal to ask at. Add --yes.") from None
    raise click.ClickException("Nothing was done.")


def redraw(lines: Sequence[Line]) -> None:
    """Print lines over the ones that were printed last, from the top of the screen."""
    ends = "".join(f"{rendered(line)}{_END_OF_LINE}\n" for line in lines)
    click.echo(f"{_TOP}{ends}{_END_OF_SCREEN}", nl=False)


def rendered(line: Line) -> str:
    """Return a line as it is printed."""
    if isinstance(line, str):
        return visible(line)
    return "".join(map(_styled, line)).rstrip()


def _styled(span: Span) -> str:
    text = visible(span.text)
    if is_plain() or not (span.colour or span.bold):
        return text
    return click.style(text, fg=span.colour, bold=span.bold or None)


@contextmanager
def visible_errors() -> Iterator[None]:
    """Make visible what the errors say that end a command."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        # The help, which is this program's own.
        raise
    except click.ClickException as error:
        first, *more = map(visible, error.message.split("\n"))
        error.message = "\n".join([first, *(_ERROR_INDENT + line for line in more)])  # type: ignore[misc]
        raise


def is_plain() -> bool:
    """Return whether the terminal knows no escape sequences, or the user wants none: TERM=dumb, NO_COLOR."""
    return os.environ.get("TERM") == "dumb" or bool(os.environ.get("NO_COLOR"))


def can_redraw() -> bool:
    """Return whether the output goes to a terminal that can write a line, or the screen, anew."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class Clock:
    """A last line that is written anew again and again, on a terminal alone."""

    def __init__(self) -> None:
        self._is_shown = False
        #: Whether there is a terminal that can show it.
        self.can_show = can_redraw()

    def show(self, text: str, quiet_seconds: float) -> None:
        """Show ``text`` in place of what the clock showed before, once nothing has happened for a while."""
        if self.can_show and quiet_seconds > CLOCK_AFTER_SECONDS:
            self._is_shown = True
            click.echo(f"{_SAME_LINE}{visible(text)}", nl=False)

    def clear(self) -> None:
        """Remove the line."""
        if self._is_shown:
            self._is_shown = False
            click.echo(_SAME_LINE, nl=False)
