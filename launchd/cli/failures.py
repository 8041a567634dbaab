"""Errors for people: what a command may meet becomes one sentence on standard error and exit code 1."""

from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def told(*errors: type[Exception]) -> Iterator[None]:
    """Turn ``errors``, whose text is a sentence for people, into the end of the command; also as a decorator."""
    try:
        yield
    except BrokenPipeError:
        # Whoever read our output has had enough; click knows what to do then.
        raise
    except errors as error:
        raise click.ClickException(str(error)) from error
