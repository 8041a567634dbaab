"""Reports the errors of a command: one sentence on standard error, and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from launchd.cli.streams import OutputLost


class Misconfigured(click.ClickException):
    """The configuration cannot be used: a restart of the agent does not help."""

    #: EX_CONFIG, after which the systemd unit does not restart the agent.
    exit_code = 78


@contextmanager
def report_errors(*errors: type[Exception], end: type[click.ClickException] = click.ClickException) -> Iterator[None]:
    """Raise ``errors`` as the click exception ``end``, with a sentence for people; also as a decorator."""
    try:
        yield
    except (BrokenPipeError, OutputLost):
        # Of the whole program: a closed pipe ends it in silence, a full disk with a sentence.
        raise
    except errors as error:
        raise end(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    match error:
        case OSError(filename=str(path), strerror=str(reason)):
            return f"{path} cannot be used: {reason}."
        case _:
            return str(error)
