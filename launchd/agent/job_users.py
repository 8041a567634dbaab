"""Whom the jobs of this host run as: which numbers are given out, to which job, and when again.

A number belongs to one job until the job is over and nothing of its user is left in the job's directories. Owns that
rule, not the files. Main thread only.
"""

import logging
import os
import pwd
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import chain, filterfalse, islice
from pathlib import Path

import msgspec

from ipc.policy_rules import PolicyRules
from ipc.work_order import JobUser
from launchd.agent.host_locks import HostLocks, agent_words
from launchd.agent.job_record import JobRecord
from launchd.agent.journal import Journal
from launchd.config import AgentConfig

log = logging.getLogger(__name__)

#: Out of these come the numbers that sources are fetched as where the policy has one named user for all jobs. They are
#: of those that distributions leave to service managers (systemd's dynamic users), so that no package takes them.
FETCH_NUMBERS = range(65000, 65500)


class NoNumberLeft(Exception):
    """All numbers of a range are taken."""

    def __init__(self, numbers: range) -> None:
        super().__init__(
            f"All users of launchd.policy.run_as_users ({numbers[0]}-{numbers[-1]}) belong to jobs that run or were "
            "not cleared up yet."
        )


class JobUsers:
    """The numbers that are taken. ``taken`` returns those that may not be given out when the first one is asked for."""

    def __init__(self, taken: Callable[[], set[int]] = set) -> None:
        self._find_taken = taken
        self._taken: set[int] | None = None
        self._last = 0

    def with_numbers(self, job: JobRecord, rules: PolicyRules) -> JobRecord:
        """Return ``job`` with the numbers that it needs under ``rules``, its own record where it has them.

        A job that may exist outside keeps what it was started with. Raises :class:`NoNumberLeft`.
        """
        if job.may_exist_outside or job.fetch_user is not None or not _needs_numbers(rules):
            return job
        numbers = rules.run_as_users.numbers if rules.run_as_users else FETCH_NUMBERS
        wanted = 2 if rules.run_as_users else 1
        free = self._free(numbers, wanted)
        return msgspec.structs.replace(job, fetch_user=free[-1], user=free[0] if rules.run_as_users else None)

    def release(self, numbers: Iterable[int]) -> None:
        """Let ``numbers`` be given out again: nothing of them is left."""
        if self._taken is not None:
            self._taken.difference_update(numbers)

    def _free(self, numbers: range, wanted: int) -> list[int]:
        taken = self._taken = self._find_taken() if self._taken is None else self._taken
        # The next ones, so that a number rests as long as possible.
        after = max(0, min(self._last + 1 - numbers[0], len(numbers)))
        candidates = filterfalse(taken.__contains__, chain(numbers[after:], numbers[:after]))
        free = list(islice(filterfalse(_has_entry, candidates), wanted))
        if len(free) < wanted:
            raise NoNumberLeft(numbers)
        taken.update(free)
        self._last = free[-1]
        return free


def take_numbers(locks: HostLocks, config: AgentConfig) -> str | None:
    """Keep the users of jobs in ``config`` from other agents; returns why that cannot be done, as a sentence."""
    rules = (config.launchd.policy, *config.launchd.policy.queues.values())
    for numbers in {one.run_as_users.numbers for one in rules if one.run_as_users is not None}:
        try:
            other = locks.take("users", numbers)
        except OSError as error:
            log.warning("The users of jobs cannot be kept from other agents.", extra={"why": str(error)})
            return None
        if other is not None:
            return (
                f"The users {numbers[0]}-{numbers[-1]} (launchd.policy.run_as_users) are, in part, those of the jobs of"
                f" {agent_words(other)}, and its jobs could end these. Give each agent a range of its own."
            )
    return None


def _has_entry(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True


def _needs_numbers(rules: PolicyRules) -> bool:
    return rules.run_as_users is not None or (rules.run_as_user is not None and named_user(rules.run_as_user).uid != 0)


def numbers_of(job: JobRecord) -> tuple[int, ...]:
    """Return the numbers that belong to ``job``."""
    return tuple(number for number in (job.user, job.fetch_user) if number is not None)


def taken_numbers(journal: Journal, state_dir: Path) -> set[int]:
    """Return the numbers that may not be given out by an agent that has given out none yet.

    The journal may be older than what is on the disk and than what runs.
    """
    jobs = [path for name in ("jobs", "removed") for path in (state_dir / name).glob("*")]
    return journal.user_numbers() | set(owners_below(jobs)) | users_of_processes()


def owners_below(jobs: Iterable[Path]) -> Iterator[int]:
    """Yield who owns what is in the directories of ``jobs``."""
    for job in jobs:
        with suppress(OSError), os.scandir(job) as entries:
            yield from (entry.stat(follow_symlinks=False).st_uid for entry in entries)


def users_of_processes() -> set[int]:
    """Return the numbers of the users of all processes of this host, as far as they may be seen."""
    found: set[int] = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        # A process that ended meanwhile has none.
        with suppress(OSError):
            found.update(map(int, _user_line(status.read_text()).split()[1:]))
    return found


def _user_line(status: str) -> str:
    return next(line for line in status.splitlines() if line.startswith("Uid:"))


def numbered_user(number: int, directory: str) -> JobUser:
    """Return the user with ``number`` and without a password entry, whose own directories are in ``directory``."""
    return JobUser(number, number, f"{directory}/home", temporary=f"{directory}/temporary")


@cache
def named_user(name: str) -> JobUser:
    """Return the user of this host called ``name``, as this process first saw it; raises :class:`LookupError`."""
    entry = pwd.getpwnam(name)
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return JobUser(entry.pw_uid, entry.pw_gid, entry.pw_dir, name, entry.pw_shell, groups)
