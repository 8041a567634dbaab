"""Errors for people: what a command may meet becomes one sentence on standard error and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def told(*errors: type[Exception], exit_code: int = 1) -> Iterator[None]:
    """Turn ``errors`` into the end of the command; also as a decorator. Those of ours have sentences for their text."""
    try:
        yield
    except BrokenPipeError:
        # Whoever read our output has had enough; click knows what to do then.
        raise
    except errors as error:
        end = click.ClickException(_sentence(error))
        end.exit_code = exit_code
        raise end from error


def _sentence(error: Exception) -> str:
    match error:
        case OSError(filename=str(path), strerror=str(reason)):
            return f"{path} cannot be used: {reason}."
        case _:
            return str(error)
