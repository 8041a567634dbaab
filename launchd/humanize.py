"""Numbers, times and names as text for people, for the command line and for systemd's status line. Pure functions."""

import itertools
import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime

#: The most names in a sentence.
MOST_NAMES = 10

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def format_jobs(number: int) -> str:
    """Return ``1 job``, ``2 jobs``."""
    return counted(number, "job")


def counted(number: int, word: str) -> str:
    """Return a number with what is counted: ``1 file``, ``2 files``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def format_job_limit(max_jobs: int) -> str:
    """Return ``at most 3 jobs``; ``any number of jobs`` where there is no limit (-1)."""
    return "any number of jobs" if max_jobs < 0 else f"at most {format_jobs(max_jobs)}"


def jobs_run_on(number: int) -> str:
    """Return ``1 job runs on``, ``2 jobs run on``."""
    return f"{format_jobs(number)} {'runs' if number == 1 else 'run'} on"


def format_age(seconds: float | None) -> str:
    """Return a time in its two largest units: ``7s``, ``2m05s``, ``3h10m``, ``4d02h``; ``-`` for ``None``."""
    if seconds is None:
        return "-"
    rounded = max(0, int(seconds))
    for (unit, size), (smaller, part) in itertools.pairwise(_UNITS):
        if rounded >= size:
            return f"{rounded // size}{unit}{rounded % size // part:02d}{smaller}"
    return f"{rounded}s"


def format_seconds(seconds: float) -> str:
    """Return a duration, below a minute with a fraction: ``0.3s``, ``2m05s``."""
    return f"{max(0.0, seconds):.1f}s" if seconds < 59.95 else format_age(seconds)


def format_minute(moment: datetime | None) -> str:
    """Return a moment in local time, to the minute, ``-`` for ``None``; for a column whose head is :func:`zoned`."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else "-"


def format_moment(moment: datetime | None) -> str:
    """Return a moment in local time, to the second, with its zone; ``-`` for ``None``."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if moment else "-"


def local_zone() -> str:
    """Return the name of the local time's zone."""
    return datetime.now().astimezone().strftime("%Z")


def zoned(head: str) -> str:
    """Return the head of a column of times, with the zone that they are in."""
    return f"{head} {local_zone()}"


def one_line(text: str | None) -> str:
    """Return ``text`` in one line: what separates words and lines becomes single spaces."""
    return " ".join((text or "").split())


def join_some(names: Sequence[str]) -> str:
    """Return names separated by commas, of many the first ten: ``a, b and 3 more``."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def join_quoted(names: Iterable[str]) -> str:
    """Return names separated by commas, each as a shell takes it for one word; nothing for none."""
    return ", ".join(map(shlex.quote, names))


def join_names(names: Iterable[str]) -> str:
    """Return names separated by commas, ``-`` for none."""
    return ", ".join(names) or "-"
