"""What is left on the host of a job that the journal does not know, or knows at an earlier time.

A journal is older than the truth where its directory was restored, copied while the agent ran, or not mounted. What
became of a job then stands in its directory, whose name follows from the item. Writes nothing.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from ipc import job_files
from ipc.errors import ErrorReport
from ipc.handles import workload_name
from ipc.states import JobState
from ipc.work_order import JobUser, WorkOrder, read_order
from launchd.agent.admission import UNREADABLE, new_record
from launchd.agent.job_record import JobRecord
from launchd.agent.work_orders import AgentContext
from launchd.client.queue_server import HeldByServer


def job_in_directory(item: HeldByServer, agent_id: str, context: AgentContext, now: float) -> JobRecord | None:
    """Return the job of an item that this agent acknowledged, as its directory shows it; ``None`` without one."""
    orders = [attempt.order for attempt in _attempts(context, item.item_id, first=1) if attempt.order]
    order = max(orders, key=lambda order: order.attempt, default=None)
    if order is None:
        return None
    return JobRecord(
        item_id=item.item_id,
        agent_id=agent_id,
        queue=order.queue,
        name=order.name,
        attempt=order.attempt,
        spec=order.spec,
        raw_spec="",
        claimed_at=now,
        lease=item.lease,
        # From here its worker finds that it runs, that it is over, or that it was never started.
        state=JobState.SUBMITTING,
        state_at=now,
        acknowledged=True,
        submitter_key=order.submitter_key,
        recorded=True,
        user=_number(order.user),
        fetch_user=_number(order.fetch_user),
    )


def job_without_trace(item: HeldByServer, agent_id: str, context: AgentContext, now: float) -> JobRecord:
    """Return a record by which an item can be failed of which the host shows no job."""
    spec = msgspec.structs.replace(UNREADABLE, run_id=item.run_id or "")
    return msgspec.structs.replace(new_record(item, spec, "", agent_id, context, now), acknowledged=True)


def trace_lost(context: AgentContext) -> ErrorReport:
    """Return why an item of which the host shows no job has failed."""
    return ErrorReport(
        "agent",
        "TraceLost",
        f"The agent on {context.hostname} acknowledged this item, and neither its journal nor a work order of the job"
        f" in {context.state_dir} can be read any more. Whether the job ran, or still runs, is not known.",
        "Look for its process on that host before launching it again.",
    )


def with_submitted_attempt(job: JobRecord, context: AgentContext) -> JobRecord:
    """Return ``job`` as its directories show it, where more was submitted than the journal knows."""
    attempts = _attempts(context, job.item_id, first=job.attempt)
    last = max((attempt for attempt in attempts if attempt.submitted), key=lambda attempt: attempt.number, default=None)
    if last is None or (job.recorded and last.number == job.attempt):
        return job
    return msgspec.structs.replace(
        job,
        name=last.name,
        attempt=last.number,
        state=JobState.SUBMITTING,
        recorded=True,
        acknowledged=True,
        handle=None,
        user=_number(last.order.user) if last.order else job.user,
        fetch_user=_number(last.order.fetch_user) if last.order else job.fetch_user,
    )


def _number(user: JobUser | None) -> int | None:
    """Return the number of a user that belongs to one job alone."""
    return user.uid if user is not None and user.is_number else None


class _Attempt(NamedTuple):
    """What an attempt left: its work order, ``None`` where it cannot be read, and whether its workload may exist."""

    number: int
    name: str
    order: WorkOrder | None
    submitted: bool


def _attempts(context: AgentContext, item_id: str, first: int) -> Iterator[_Attempt]:
    """Yield the attempts of an item from ``first`` on, up to the first that left nothing.

    A power cut can leave the mark of a submission, and nothing of the work order that can be read.
    """
    for number in itertools.count(first):
        name = workload_name(context.base_url, item_id, number)
        directory = Path(context.job_directory(name))
        order, submitted = _order(directory), job_files.was_submitted(directory)
        if order is None and not submitted:
            return
        yield _Attempt(number, name, order, submitted)


def _order(directory: Path) -> WorkOrder | None:
    """Return the work order in ``directory``, or ``None``."""
    try:
        return read_order(directory)
    except (OSError, msgspec.DecodeError):
        return None
