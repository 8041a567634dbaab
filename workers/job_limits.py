"""What one job may use: the limits it asks for, under those of the host. Pure, but for a look at what can be held."""

from pathlib import Path

import msgspec

from ipc.control_groups import ControlGroup, controllers_for
from ipc.errors import InvalidSpec
from ipc.settings import MIB, JobLimits
from ipc.sizes import format_size

#: The least that each limit can be: with less, no program can be started.
LEAST = JobLimits(memory=8 * MIB, processors=0.01, processes=1, disk=MIB)


def check(asked: JobLimits, host: JobLimits, group: str | None) -> None:
    """Raise :class:`InvalidSpec` where ``asked`` is too little, more than ``host`` grants, or cannot be held.

    ``group`` is the path of the control group that the job is to have, None for none.
    """
    for name in asked.names():
        wanted, least, most = getattr(asked, name), getattr(LEAST, name), getattr(host, name)
        if wanted < least:
            raise InvalidSpec(f"The job asks for {_amount(name, wanted)}, and the least is {_amount(name, least)}.")
        if most is not None and wanted > most:
            raise InvalidSpec(
                f"The job asks for {_amount(name, wanted)}; this host grants a job {_amount(name, most)}.",
                hint="Ask for less, or launch it on a queue for larger hosts.",
            )
    _check_can_be_held(asked, group)


def effective(asked: JobLimits, host: JobLimits) -> JobLimits:
    """Return the limits of a job that asks for ``asked`` on a host that grants ``host``."""
    return msgspec.structs.replace(host, **{name: getattr(asked, name) for name in asked.names()})


def _check_can_be_held(asked: JobLimits, group: str | None) -> None:
    held = ControlGroup(Path(group).parent).controllers() if group is not None else frozenset()
    unheld = [name for name in asked.names() if controllers_for([name]) - held]
    if unheld:
        raise InvalidSpec(
            f"The job asks for a limit of {' and '.join(unheld)}, which this host cannot hold.",
            hint="Launch it without, or have launch-agent-jobs.service started there: see `launchd status`.",
        )


def _amount(name: str, value: float) -> str:
    if name in ("memory", "disk"):
        return f"{format_size(int(value))} of {name}"
    return f"{value:g} {name}"
