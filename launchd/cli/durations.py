"""Times on the command line: ``90``, ``90s``, ``30m``, ``1h30m``, ``2d``."""

import click

from ipc.time_limits import parse_duration


def duration(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of an option's value, for click's ``callback``; raises ``click.BadParameter``."""
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}.") from error
