"""From a claimed run queue item to a job, or to the reason why not.

Pure: no clock, no file, no process.
"""

import json

import msgspec

from ipc.errors import InvalidSpec, JobError, PolicyRefused
from ipc.gpus import gpu_request
from ipc.handles import workload_name
from ipc.messages import MAX_API_KEY_BYTES
from ipc.run_spec import RunSpec, parse_run_spec, take_text
from ipc.time_limits import time_limit
from launchd.agent.job_record import JobRecord
from launchd.agent.work_orders import AgentContext
from launchd.client.queue_server import ClaimedItem, HeldByServer

#: W&B's key in a run spec that carries the submitter's own API key.
SUBMITTER_KEY = "_wandb_api_key"

#: Stands in the records for a run spec that cannot be read.
UNREADABLE = RunSpec(entity="", project="", run_id="", resource="")


class Admitted(msgspec.Struct, frozen=True):
    """A job of this agent, and the submitter's own API key, which must not reach any file but one of its own."""

    job: JobRecord
    submitter_key: str | None


class Rejected(msgspec.Struct, frozen=True):
    """An item that cannot become a job: it goes straight to its outcome."""

    job: JobRecord
    error: JobError


def admit(item: ClaimedItem, agent_id: str, context: AgentContext, now: float) -> Admitted | Rejected:
    """Return what becomes of ``item``, claimed by ``agent_id`` at ``now``."""
    raw = dict(item.run_spec)
    try:
        submitter_key = _take_key(raw)
        spec = parse_run_spec(raw)
        gpu_request(spec)
        time_limit(spec)
    except JobError as error:
        return Rejected(unreadable(item, agent_id, context, now), error)
    job = msgspec.structs.replace(
        new_record(item, spec, json.dumps(raw), agent_id, context, now), submitter_key=submitter_key is not None
    )
    refusal = context.refusal(spec, item.queue)
    if refusal is not None:
        return Rejected(job, PolicyRefused(refusal))
    return Admitted(job, submitter_key)


def unreadable(item: ClaimedItem, agent_id: str, context: AgentContext, now: float) -> JobRecord:
    """Return the record of an item whose run spec cannot be read, so that the item can be failed."""
    return new_record(item, UNREADABLE, "", agent_id, context, now)


def _take_key(raw: dict[str, object]) -> str | None:
    key = take_text(raw, SUBMITTER_KEY)
    if key is not None and (len(key) > MAX_API_KEY_BYTES or not key.isascii() or not key.isprintable()):
        sentence = f"The run spec's {SUBMITTER_KEY} is no API key: it is longer than {MAX_API_KEY_BYTES} characters,"
        raise InvalidSpec(f"{sentence} or no plain text.", hint="Correct it and launch again.")
    return key


def new_record(
    item: ClaimedItem | HeldByServer, spec: RunSpec, raw_spec: str, agent_id: str, context: AgentContext, now: float
) -> JobRecord:
    """Return the record of an item's first attempt, as of ``now`` in seconds since the epoch."""
    return JobRecord(
        item_id=item.item_id,
        agent_id=agent_id,
        queue=item.queue,
        name=workload_name(context.base_url, item.item_id, attempt=1),
        attempt=1,
        spec=spec,
        raw_spec=raw_spec,
        claimed_at=now,
        lease=item.lease,
        state_at=now,
    )
