"""Numbers and times as people read them, and the words for priorities. Pure functions."""

import itertools
from collections.abc import Iterable
from datetime import datetime

from launchd.humanize import jobs_in_words

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def age(seconds: float | None) -> str:
    """A time in its two largest units: ``7s``, ``2m05s``, ``3h10m``, ``4d02h``; ``-`` where it is not known."""
    if seconds is None:
        return "-"
    whole = max(0, int(seconds))
    for (unit, size), (smaller, part) in itertools.pairwise(_UNITS):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02d}{smaller}"
    return f"{whole}s"


def minute(moment: datetime | None) -> str:
    """A moment in local time, to the minute; ``-`` where there is none."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else "-"


def jobs_run_on(number: int) -> str:
    """``1 job runs on``, ``2 jobs run on``."""
    return f"{jobs_in_words(number)} {'runs' if number == 1 else 'run'} on"


def one_line(text: str | None) -> str:
    """Text without line breaks and what else would disturb a table."""
    return " ".join("".join(c if c.isprintable() else " " for c in text or "").split())


def joined(names: Iterable[str]) -> str:
    """Names in a row, ``-`` for none."""
    return ", ".join(names) or "-"
