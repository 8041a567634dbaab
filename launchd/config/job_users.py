"""Checks of the users that a policy names for jobs: enough numbers, and root only where the configuration says so.

Owns the refusal of an agent that is root and has no user for jobs. Needs the user that the agent runs as from outside:
the user who only checks a file may be another one.
"""

import grp
import os
import pwd
import sys
from collections.abc import Iterator

from ipc.policy_rules import PolicyRules
from launchd.config.diagnostics import ConfigError, Diagnostics, Problem
from launchd.config.model import UNLIMITED, AgentConfig

#: What stands for `max_jobs` and `max_schedulers` without a limit where room has to be found for their numbers.
UNLIMITED_SLOTS = 64

#: A job has two numbers, one of its own and one that its source is fetched as; so has one that ended and is shown.
NUMBERS_PER_JOB = 2

#: Groups whose members can become root, or read what only root may.
POWERFUL_GROUPS = frozenset(
    {"root", "docker", "podman", "lxd", "incus", "libvirt", "sudo", "wheel", "admin", "disk", "shadow", "kmem"}
)

_NO_USER = "this agent runs as root, and so would the jobs of every user who may push to its queues"
_NO_USER_HINT = (
    "Give jobs users of their own (launchd.policy.run_as_users: 70000-70999), or say in so many words that all "
    "submitters may be root here (launchd.policy.allow_root_jobs: true)."
)
_NOT_ROOT = "only an agent that runs as root can run jobs as other users"


def slots(config: AgentConfig) -> int:
    """Return how many jobs and schedulers there may be at a time, as far as numbers have to be found for them."""
    limits = (config.max_jobs, config.max_schedulers)
    return sum(UNLIMITED_SLOTS if limit == UNLIMITED else limit for limit in limits)


def spare_pairs(config: AgentConfig) -> int:
    """Return how many jobs that are over may keep their numbers while there are as many jobs as there may be."""
    ranges = [rules.run_as_users.numbers for _, rules in _all_rules(config) if rules.run_as_users is not None]
    return min((len(numbers) // NUMBERS_PER_JOB - slots(config) for numbers in ranges), default=sys.maxsize)


def check_range_sizes(diagnostics: Diagnostics, config: AgentConfig) -> None:
    """Refuse a range with too few numbers for the jobs that there may be."""
    jobs = slots(config)
    needed = NUMBERS_PER_JOB * (jobs + 1)
    for name, rules in _all_rules(config):
        if rules.run_as_users is not None and len(rules.run_as_users.numbers) < needed:
            why = f"has {len(rules.run_as_users.numbers)} numbers; {jobs} jobs and schedulers at a time need {needed}"
            diagnostics.refuse(f"{name}.run_as_users", None, why, "Name a larger range.")


def check_install_user(diagnostics: Diagnostics, config: AgentConfig) -> None:
    """Refuse a user who would install what jobs share and is the user of jobs, or root."""
    setting = config.launchd.venv.install_user
    number = int(setting) if setting.isdigit() else pwd.getpwnam(setting).pw_uid
    named = {rules.run_as_user for _, rules in _all_rules(config) if rules.run_as_user is not None}
    ranges = [rules.run_as_users.numbers for _, rules in _all_rules(config) if rules.run_as_users is not None]
    if any(number in numbers for numbers in ranges) or number in {pwd.getpwnam(name).pw_uid for name in named}:
        diagnostics.refuse("launchd.venv.install_user", setting, "must be no user of jobs", "Name another one.")
    elif number == 0:
        diagnostics.refuse("launchd.venv.install_user", setting, "must not be root", "Name another one.")


def check_builder_users(diagnostics: Diagnostics, config: AgentConfig) -> None:
    """Refuse numbers for the users of builds that jobs have too."""
    builders = config.launchd.buildah.user_numbers
    for name, rules in _all_rules(config):
        taken = rules.run_as_users
        if builders and taken and taken.first <= builders.last and builders.first <= taken.last:
            why = f"must be no numbers of {name}.run_as_users"
            diagnostics.refuse("launchd.buildah.user_numbers", None, why, "Name another range.")


def check_job_users(config: AgentConfig, agent: int) -> tuple[str, ...]:
    """Return warnings about the users of jobs, for an agent that runs as the user with the number ``agent``.

    Raises:
        ConfigError: its jobs would run as root and nothing says that they may, or it could not change their user.
    """
    problems = [problem for name, rules in _served_rules(config) if (problem := _problem(name, rules, agent))]
    if problems:
        raise ConfigError(*problems)
    return tuple(_group_warnings(config))


def runs_jobs_as_root(rules: PolicyRules) -> bool:
    """Return whether the jobs of an agent that is root are root too."""
    return rules.run_as_users is None and (rules.run_as_user is None or pwd.getpwnam(rules.run_as_user).pw_uid == 0)


def _problem(name: str, rules: PolicyRules, agent: int) -> Problem | None:
    if agent == 0:
        if runs_jobs_as_root(rules) and not rules.allow_root_jobs:
            return Problem("", name, "", _NO_USER, _NO_USER_HINT)
        return None
    key = "run_as_users" if rules.run_as_users else "run_as_user"
    is_other = rules.run_as_users or (rules.run_as_user and pwd.getpwnam(rules.run_as_user).pw_uid != agent)
    return Problem("", f"{name}.{key}", "", _NOT_ROOT, "Start it as root, or leave the key out.") if is_other else None


def _group_warnings(config: AgentConfig) -> Iterator[str]:
    for name in sorted({rules.run_as_user for _, rules in _served_rules(config) if rules.run_as_user}):
        powerful = sorted(_group_names(name) & POWERFUL_GROUPS)
        if powerful:
            yield (
                f"launchd.policy.run_as_user: the user {name} is a member of {', '.join(powerful)}, "
                "which gives any job the rights of root or near to it: take the user out of there."
            )


def _group_names(user: str) -> set[str]:
    numbers = os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
    return {group.gr_name for group in grp.getgrall() if group.gr_gid in numbers}


def _served_rules(config: AgentConfig) -> Iterator[tuple[str, PolicyRules]]:
    """Yield the rules in force for the queues of this agent, each once, under the name of their section."""
    policy = config.launchd.policy
    own = [queue for queue in config.queues if queue in policy.queues]
    yield from ((f"launchd.policy.queues.{queue}", policy.queues[queue]) for queue in own)
    if len(own) < len(config.queues):
        yield "launchd.policy", policy


def _all_rules(config: AgentConfig) -> Iterator[tuple[str, PolicyRules]]:
    policy = config.launchd.policy
    yield "launchd.policy", policy
    yield from ((f"launchd.policy.queues.{queue}", rules) for queue, rules in policy.queues.items())
