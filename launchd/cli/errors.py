"""Errors for people: what a command may meet becomes one sentence on standard error and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def report_errors(*errors: type[Exception], end: type[click.ClickException] = click.ClickException) -> Iterator[None]:
    """Turn ``errors`` into the command's ``end``; also as a decorator. Those of ours have sentences for their text."""
    try:
        yield
    except BrokenPipeError:
        # Whoever read our output has had enough; click knows what to do then.
        raise
    except errors as error:
        raise end(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    match error:
        case OSError(filename=str(path), strerror=str(reason)):
            return f"{path} cannot be used: {reason}."
        case _:
            return str(error)
