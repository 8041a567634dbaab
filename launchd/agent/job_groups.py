"""The control groups of this agent's jobs: where they are made, what they can hold, and those that are left over.

Below a group that the service manager has delegated lies one for each agent, and in it one for each job, which the
job's worker makes. The supervisor makes none for a job and waits for none.
"""

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from ipc.control_groups import SHIMS, TOOLS_SUFFIX, ControlGroup, controllers_for, mount_point, own_group
from ipc.settings import JobLimits, JobsConfig

#: The unit whose group is delegated to the agents of a host.
JOBS_UNIT = "launch-agent-jobs.service"

#: The longest path below which jobs have groups, in characters: it stands in handles, whose size is bounded.
_MAX_ROOT = 400


class JobGroups(msgspec.Struct, frozen=True):
    """Where jobs have groups. ``root`` is the agent's own group, None where there is none, ``controllers`` its own."""

    root: str | None = None
    controllers: frozenset[str] = frozenset()
    limits: JobLimits = JobLimits()

    def group_of(self, name: str) -> str | None:
        """Return the path of the group of the job with this workload name."""
        return None if self.root is None else f"{self.root}/{name}"

    @property
    def limits_not_held(self) -> tuple[str, ...]:
        """The names of the configured limits that are not held."""
        return tuple(name for name in self.limits.names() if controllers_for([name]) - self.controllers)

    @property
    def shortcoming(self) -> str | None:
        """What is not held of the jobs on this host, as a sentence; None where nothing is wanting."""
        unheld = (
            f"the configured limits of {_listed(self.limits_not_held)} are not held" if self.limits_not_held else ""
        )
        if self.root is None:
            return (
                f"Jobs have no control groups here ({JOBS_UNIT} does not run, or is not this user's): their processes "
                f"are found by descent, and {unheld or 'limits cannot be set'}."
            )
        return f"The host's control groups lack controllers: {unheld}." if unheld else None

    def sweep(self, active: Collection[str], outdated: Collection[str]) -> None:
        """Remove the groups of jobs that are over, and end those of ``outdated`` attempts and of tools without a job.

        ``active`` and ``outdated`` are workload names. A group with processes that no job is known for is left: its job
        may yet be adopted.
        """
        for name in self._left_over(active):
            group = ControlGroup(f"{self.root}/{name}")
            if name.endswith(TOOLS_SUFFIX) or name in outdated:
                group.kill()
            group.remove()

    def _left_over(self, active: Collection[str]) -> Iterator[str]:
        if self.root is None:
            return
        try:
            with os.scandir(self.root) as entries:
                names = [entry.name for entry in entries if entry.is_dir()]
        except OSError:
            return
        yield from (name for name in names if name.removesuffix(TOOLS_SUFFIX) not in active and name != SHIMS)


def find_job_groups(jobs: JobsConfig, state_dir: Path) -> JobGroups:
    """Return where the jobs of the agent with this state directory have groups; makes the agent's own."""
    parent = jobs.control_group or _usual_parent()
    # Two agents of one host have two state directories.
    root = f"{parent}/agent-{hashlib.sha256(bytes(state_dir)).hexdigest()[:12]}"
    if parent is None or len(root) > _MAX_ROOT or not _may_move_to(parent):
        return JobGroups(limits=jobs.limits)
    try:
        ControlGroup(parent).delegate()
        own = ControlGroup(root)
        own.make()
        controllers = own.delegate()
        ControlGroup(f"{root}/{SHIMS}").make()
    except OSError:
        return JobGroups(limits=jobs.limits)
    return JobGroups(root, controllers, jobs.limits)


def _usual_parent() -> str | None:
    top = mount_point()
    return None if top is None else f"{top}/system.slice/{JOBS_UNIT}"


def _may_move_to(group: str) -> bool:
    """Whether processes of this agent may be moved into groups below ``group``, which may not exist."""
    own = own_group()
    if own is None or not ControlGroup(group).exists():
        return False
    # The kernel looks at the rights to the group above both, and not at how that is mounted.
    above = Path(os.path.commonpath([own, group]), "cgroup.procs")
    return os.geteuid() in (0, above.stat().st_uid)


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
