"""What is left on the host of a job that the journal does not know, or knows at an earlier time.

A journal is older than the truth where its directory was restored, copied while the agent ran, or not mounted. What
became of a job then stands in its directory, whose name follows from the item. Writes nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ipc import job_files
from ipc.errors import ErrorReport
from ipc.handles import workload_name
from ipc.states import JobState
from ipc.work_order import JobUser, WorkOrder, read_order
from launchd.agent.admission import UNREADABLE
from launchd.agent.job_record import JobRecord
from launchd.agent.work_orders import AgentContext
from launchd.client.queue_server import HeldByServer


def job_in_directory(item: HeldByServer, agent_id: str, context: AgentContext, now: float) -> JobRecord | None:
    """Return the job of an item that this agent acknowledged, as its directory shows it; ``None`` without one."""
    order = max(_orders(context, item.item_id, first=1), key=lambda order: order.attempt, default=None)
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
    return JobRecord(
        item_id=item.item_id,
        agent_id=agent_id,
        queue=item.queue,
        name=workload_name(context.base_url, item.item_id, attempt=1),
        attempt=1,
        spec=spec,
        raw_spec="",
        claimed_at=now,
        lease=item.lease,
        state_at=now,
        acknowledged=True,
    )


def trace_lost(context: AgentContext) -> ErrorReport:
    """Return why an item of which the host shows no job has failed."""
    return ErrorReport(
        "agent",
        "TraceLost",
        f"The agent on {context.hostname} acknowledged this item, and neither its journal nor a directory of the job in"
        f" {context.state_dir} is there any more. Whether the job ran, or still runs, is not known.",
        "Look for its process on that host before launching it again.",
    )


def with_started_attempt(job: JobRecord, context: AgentContext) -> JobRecord:
    """Return ``job`` as its directories show it, where its command was started later than the journal knows."""
    orders = _orders(context, job.item_id, first=job.attempt)
    started = [order for order in orders if job_files.was_started(Path(order.directory))]
    if not started and not job.recorded and job_files.was_started(Path(context.job_directory(job.name))):
        # A power cut can leave the record of the start, and nothing of the work order that can be read.
        submitting = {"state": JobState.SUBMITTING, "recorded": True, "acknowledged": True, "handle": None}
        return msgspec.structs.replace(job, **submitting)
    if not started or (job.recorded and started[-1].attempt == job.attempt):
        return job
    last = started[-1]
    return msgspec.structs.replace(
        job,
        name=last.name,
        attempt=last.attempt,
        state=JobState.SUBMITTING,
        recorded=True,
        acknowledged=True,
        handle=None,
        user=_number(last.user),
        fetch_user=_number(last.fetch_user),
    )


def _number(user: JobUser | None) -> int | None:
    """Return the number of a user that belongs to one job alone."""
    return user.uid if user is not None and user.is_number else None


def _orders(context: AgentContext, item_id: str, first: int) -> Iterator[WorkOrder]:
    """Yield the readable work orders of an item's attempts from ``first`` on, up to the first attempt without any."""
    attempt = first
    while True:
        directory = Path(context.job_directory(workload_name(context.base_url, item_id, attempt)))
        try:
            yield read_order(directory)
        except (OSError, msgspec.DecodeError):
            return
        attempt += 1
