"""What keeps jobs apart: the numbers of their users, and the control groups that hold them."""

import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ipc.control_groups import CONTROLLERS, ControlGroup, controllers_for, mount_point
from ipc.settings import UserNumbers
from launchd.agent.job_groups import JOBS_UNIT
from launchd.doctor.findings import Finding, fail, not_applicable, ok, warn
from launchd.doctor.host import Host

USERS_SILENCE = (
    "The list of this host's users does not answer, so no one can log in, and no job can get a user.",
    "Look at /etc/nsswitch.conf: a directory service (LDAP, sssd) may be away.",
)

#: The numbers that systemd gives to services (DynamicUser=).
_DYNAMIC = UserNumbers(61184, 65519)
_SUBORDINATE = ("/etc/subuid", "/etc/subgid")


def check_users(host: Host) -> Iterator[Finding]:
    """Look whether the numbers of the users of jobs are anything else's."""
    policy = host.config.launchd.policy
    ranges = {rules.run_as_users for rules in (policy, *policy.queues.values()) if rules.run_as_users is not None}
    if not ranges:
        yield not_applicable("Jobs have no users of their own (launchd.policy.run_as_users).")
    for numbers in sorted(ranges, key=lambda one: one.first):
        taken = [*others_with(host, numbers)]
        for sentence in taken:
            yield fail(
                sentence,
                "What has the number can end, trace and read the jobs that get it, and they it.",
                "Name a range of numbers that are free: launchd.policy.run_as_users.",
            )
        if not taken:
            yield ok(f"The numbers {numbers.first}-{numbers.last} are the jobs' users' alone.")


def others_with(host: Host, numbers: UserNumbers) -> Iterator[str]:
    """Yield a sentence for each thing of the host that has some of these numbers of users."""
    yield from _named(numbers)
    yield from _subordinate(host, numbers)
    yield from _dynamic(numbers)


def _named(numbers: UserNumbers) -> Iterator[str]:
    words = f"of the range {numbers.first}-{numbers.last}"
    for user in pwd.getpwall():
        if user.pw_uid in numbers.numbers:
            yield f"The user {user.pw_name} has the number {user.pw_uid} {words}."
    for group in grp.getgrall():
        if group.gr_gid in numbers.numbers:
            yield f"The group {group.gr_name} has the number {group.gr_gid} {words}."


def _subordinate(host: Host, numbers: UserNumbers) -> Iterator[str]:
    for path in _SUBORDINATE:
        for owner, other in _ranges_in(host.file(path)):
            if _overlap(numbers, other):
                yield (
                    f"{path} gives the numbers {other.first}-{other.last} to {owner}, for users of containers; some "
                    f"are of the range {numbers.first}-{numbers.last}."
                )


def _ranges_in(path: Path) -> Iterator[tuple[str, UserNumbers]]:
    lines: list[str] = []
    with suppress(OSError):
        lines = path.read_text(errors="replace").splitlines()
    for line in lines:
        owner, first, count = (*line.strip().split(":"), "", "")[:3]
        if first.isdigit() and count.isdigit() and int(count) > 0:
            yield owner, UserNumbers(int(first), int(first) + int(count) - 1)


def _dynamic(numbers: UserNumbers) -> Iterator[str]:
    if _overlap(numbers, _DYNAMIC):
        yield (
            f"systemd gives the numbers {_DYNAMIC.first}-{_DYNAMIC.last} to services (DynamicUser=); some are of the "
            f"range {numbers.first}-{numbers.last}."
        )


def _overlap(one: UserNumbers, other: UserNumbers) -> bool:
    return one.first <= other.last and other.first <= one.last


def check_control_groups(host: Host) -> Iterator[Finding]:
    """Look whether jobs can have control groups, and which limits these hold. No group is made."""
    jobs = host.config.launchd.jobs
    top = mount_point()
    parent = jobs.control_group or (f"{top}/system.slice/{JOBS_UNIT}" if top else None)
    limits = jobs.limits.names()
    if parent is None:
        yield _unheld(
            "This host has no control groups of version 2.", limits, "Boot with systemd.unified_cgroup_hierarchy=1."
        )
    elif not ControlGroup(parent).exists():
        start = f"`systemctl start {JOBS_UNIT}`." if not jobs.control_group else "Make it, or correct the setting."
        yield _unheld(f"There is no control group {parent}.", limits, start)
    elif not os.access(f"{parent}/cgroup.procs", os.W_OK):
        yield _unheld(
            f"The control group {parent} is not this user's.",
            limits,
            "Run agent and doctor as root, or delegate a group.",
        )
    else:
        yield _of_controllers(parent, limits)


def _of_controllers(parent: str, limits: tuple[str, ...]) -> Finding:
    there = frozenset(Path(parent, "cgroup.controllers").read_text().split())
    missing = [name for name in CONTROLLERS if name not in there]
    unheld = tuple(name for name in limits if controllers_for([name]) - there)
    if missing:
        words = f"The control group {parent} lacks the controllers {', '.join(missing)}."
        return _unheld(words, unheld, "Delegate all controllers to it (Delegate=yes of the unit).")
    return ok(f"Jobs have control groups below {parent}, with limits of memory, processors and processes.")


def _unheld(sentence: str, limits: tuple[str, ...], fix: str) -> Finding:
    """Return that jobs are not held; where limits are configured that are not held, that is a failure."""
    if limits:
        return fail(sentence, f"The configured limits of {', '.join(limits)} are not held.", fix)
    return warn(sentence, "Processes of jobs are found by descent, and no limit of theirs can be held.", fix)
