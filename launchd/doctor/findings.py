"""What a check finds: a verdict, a sentence, what it means and what to do. Pure."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from launchd.doctor.host import Host


class Verdict(StrEnum):
    """How it stands with what was looked at; the worst of all is the doctor's exit code."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was seen: the sentence for people, what follows from it, and what mends it."""

    verdict: Verdict
    sentence: str
    meaning: str = ""
    fix: str = ""


class Check(NamedTuple):
    """One check of a host.

    ``look`` returns what it sees, and may hang: after ``seconds`` it is ended, and ``silence`` is what that means, and
    what to do. ``needs_config``: it says nothing where the configuration cannot be used.
    """

    name: str
    look: Callable[[Host], Iterable[Finding]]
    silence: tuple[str, str] = ("", "")
    seconds: float = 10.0
    needs_config: bool = True


def ok(sentence: str) -> Finding:
    """Return that nothing is wrong."""
    return Finding(Verdict.OK, sentence)


def warn(sentence: str, meaning: str, fix: str) -> Finding:
    """Return that something works now, and may not later or for all jobs."""
    return Finding(Verdict.WARN, sentence, meaning, fix)


def fail(sentence: str, meaning: str, fix: str) -> Finding:
    """Return that something does not work."""
    return Finding(Verdict.FAIL, sentence, meaning, fix)


def not_applicable(sentence: str) -> Finding:
    """Return why there is nothing to look at here."""
    return Finding(Verdict.NOT_APPLICABLE, sentence)
