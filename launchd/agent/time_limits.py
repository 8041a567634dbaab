"""How long jobs have run, and which of them have run for longer than they may.

Pure: the clock is given. A job's time is counted from its start in boot time, which goes on over restarts of the agent
and of workers. After a restart of the host, which ends what runs here and not what runs elsewhere, it is counted by the
wall clock.
"""

import msgspec

from ipc.boot_clock import BootMoment
from ipc.errors import InvalidSpec
from ipc.time_limits import time_limit
from launchd.agent.clock import Clock
from launchd.agent.job_record import JobRecord
from launchd.agent.work_orders import AgentContext
from launchd.humanize import format_seconds


def with_start(job: JobRecord, started: BootMoment | None, clock: Clock) -> JobRecord:
    """Return ``job`` with its start: the one in its record, else ``started``, as its worker knows it, else now."""
    if job.started is not None:
        return job
    now = clock.boot()
    if started is None or started.boot != now.boot:
        started = now
    age = max(0.0, now.seconds - started.seconds)
    return msgspec.structs.replace(job, started=started, started_at=clock.now() - age)


def seconds_run(job: JobRecord, clock: Clock) -> float | None:
    """Return how long ``job`` has run, in seconds; ``None`` where it has not."""
    if job.started is None:
        return None
    now = clock.boot()
    if job.started.boot == now.boot:
        return max(0.0, now.seconds - job.started.seconds)
    return None if job.started_at is None else max(0.0, clock.now() - job.started_at)


def limit_of(job: JobRecord, context: AgentContext) -> tuple[float, str] | None:
    """Return the seconds that ``job`` may run and who says so; the smaller limit counts. ``None`` for no limit."""
    of_host = context.runtime_limit(job)
    limits = [(of_host, f"set by launchd.jobs on {context.hostname}")] if of_host > 0 else []
    try:
        own = time_limit(job.spec)
    except InvalidSpec:
        # Admitted by a version that did not read it.
        own = None
    if own is not None:
        limits.append((own, "set by its submitter"))
    return min(limits, default=None)


def why_over(job: JobRecord, context: AgentContext, clock: Clock) -> str | None:
    """Return why ``job`` is to be stopped if it ran for longer than it may, as the end of a sentence, or ``None``."""
    seconds, limit = seconds_run(job, clock), limit_of(job, context)
    if seconds is None or limit is None or seconds <= limit[0]:
        return None
    return f"it ran longer than its limit of {format_seconds(limit[0])}, {limit[1]}"
