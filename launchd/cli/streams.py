"""The standard streams of a command, where its caller has closed them or where they take nothing more."""

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NAMES = ("stdin", "stdout", "stderr")


class OutputLost(OSError):
    """The standard output takes nothing more, such as a file on a full disk; a pipe that is closed is none."""

    def __str__(self) -> str:
        return f"The output cannot be written: {self.strerror}."


class _Output(io.FileIO):
    """The standard output, whose errors can be told from those of other files: they name none."""

    def write(self, content: "ReadableBuffer", /) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputLost(error.errno, error.strerror) from error


def prepare_streams() -> None:
    """Open the standard streams that are closed, on nothing; have errors of the output be :class:`OutputLost`."""
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is None:
            # Or a file or a socket gets its number.
            _lead_to_nothing(number)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    output = sys.stdout
    if output is sys.__stdout__ and isinstance(output, io.TextIOWrapper):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output(output.fileno(), "w", closefd=False)),
            encoding=output.encoding,
            errors=output.errors,
            line_buffering=output.line_buffering,
            write_through=output.write_through,
        )


def give_up_output() -> None:
    """Have what was not written go nowhere, or the interpreter's own end fails on it once more."""
    _lead_to_nothing(sys.stdout.fileno())


def settle_errors() -> None:
    """Give up what standard error does not take, or a log on a full disk changes the exit code of the program."""
    try:
        sys.stderr.flush()
    except OSError:
        _lead_to_nothing(sys.stderr.fileno())


def _lead_to_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, number)
    if nothing != number:
        os.close(nothing)
