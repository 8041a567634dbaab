"""Rules of how long ended runs, and their files, are kept: what a rule says, and which runs of a project it lets go.

A rule is a text like `vision/sandbox=30d,200,50GiB,files:14d`: for runs of that project, else for those of every one.
Pure; which runs something still needs is asked of the store.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

SECONDS_A_DAY = 86400.0

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_LIMIT = re.compile(r"(?P<number>[0-9]{1,15})(?P<unit>d|B|KiB|MiB|GiB|TiB)?")
_FORM = (
    "[ENTITY/PROJECT=]LIMIT[,LIMIT...], with a limit of days (30d), of runs of a project (200), of their files together"
    " (50GiB), or of days for the files alone (files:14d)"
)


class WrongRule(ValueError):
    """A text is no rule; the message says what one looks like."""


class RetentionRule(msgspec.Struct, frozen=True, kw_only=True):
    """How long ended runs are kept: any limit lets a run go. None: without that limit.

    `project` is `entity/project`, or None for all that no other rule names. `seconds` and `files_seconds` count from
    the end of a run; `runs` and `size` (bytes) are those of a project's newest ended ones.
    """

    project: str | None = None
    seconds: float | None = None
    runs: int | None = None
    size: int | None = None
    files_seconds: float | None = None


class EndedRun(msgspec.Struct, frozen=True):
    """An ended run: its number and name, when it ended (seconds since the epoch), the bytes of its files.

    `is_needed`: it is kept, against any rule.
    """

    id: int
    name: str
    ended_at: float
    size: int
    is_needed: bool


class Doomed(msgspec.Struct, frozen=True):
    """A run that a rule lets go, or its files alone, and why."""

    project: str
    run: EndedRun
    reason: str
    files_only: bool


def parse_rule(text: str) -> RetentionRule:
    """Read a rule.

    Raises:
        WrongRule: it is none.
    """
    project, equals, limits = text.rpartition("=")
    if equals and (project.count("/") != 1 or not all(project.split("/"))):
        raise WrongRule(f"{text!r} does not begin with ENTITY/PROJECT=. A rule is {_FORM}.")
    values: dict[str, float | int] = {}
    for limit in limits.split(","):
        name, value = _parse_limit(text, limit.strip())
        if name in values:
            raise WrongRule(f"{text!r} has two limits of one kind. A rule is {_FORM}.")
        values[name] = value
    return msgspec.convert({**values, "project": project or None}, RetentionRule)


def _parse_limit(text: str, limit: str) -> tuple[str, float | int]:
    of_files = limit.startswith("files:")
    found = _LIMIT.fullmatch(limit.removeprefix("files:"))
    if found is None or (of_files and found["unit"] != "d"):
        raise WrongRule(f"{limit!r} in {text!r} is no limit. A rule is {_FORM}.")
    number = int(found["number"])
    match found["unit"]:
        case "d":
            return ("files_seconds" if of_files else "seconds"), number * SECONDS_A_DAY
        case None:
            return "runs", number
        case unit:
            return "size", number * _UNITS[unit]


def rule_for(rules: Sequence[RetentionRule], project: str) -> RetentionRule | None:
    """The rule of a project, `entity/project`: the first that names it, else the first that names none."""
    named = [rule for rule in rules if rule.project == project]
    general = [rule for rule in rules if rule.project is None]
    return next(iter((*named, *general)), None)


def choose(rule: RetentionRule, project: str, ended: Iterable[EndedRun], now: float) -> list[Doomed]:
    """Which of a project's ended runs, given newest first, the rule lets go; what is needed counts, and is kept."""
    doomed, runs, size = [], 0, 0
    for run in ended:
        runs, size = runs + 1, size + run.size
        reason = _reason(rule, now - run.ended_at, runs, size)
        files_reason = _over(now - run.ended_at, rule.files_seconds, "its files are kept for {:g} days")
        if run.is_needed:
            continue
        if reason:
            doomed.append(Doomed(project, run, reason, files_only=False))
        elif files_reason and run.size:
            doomed.append(Doomed(project, run, files_reason, files_only=True))
    return doomed


def _reason(rule: RetentionRule, age: float, runs: int, size: int) -> str | None:
    if rule.runs is not None and runs > rule.runs:
        return f"{rule.runs} ended runs are kept"
    if rule.size is not None and size > rule.size:
        return f"{rule.size} bytes of files are kept"
    return _over(age, rule.seconds, "ended runs are kept for {:g} days")


def _over(age: float, limit: float | None, sentence: str) -> str | None:
    return sentence.format(limit / SECONDS_A_DAY) if limit is not None and age > limit else None
