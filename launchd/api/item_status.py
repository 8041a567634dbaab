"""The status of a queued item, from launchd's server and from W&B's. Owns the status words; it does not wait."""

import msgspec

from launchd.client.queue_server import QUEUE_PROJECT, Item, QueueServer

QUEUED = "queued"

#: The server's word for an item that asks for more GPUs than any living agent of its queue has.
FITS_NO_AGENT = "FITS_NO_AGENT"

#: After this time in the queue, and then each time after the other, it is looked whether an agent could take an item.
UNSERVED_WARNING_SECONDS, NEXT_WARNING_SECONDS = 5.0, 30.0

#: The interval of polls: short at first, then longer.
QUICK_SECONDS, SLOW_SECONDS, QUICK_FOR_SECONDS = 0.1, 1.0, 10.0

#: Statuses after which nothing more happens; those of runs (W&B's server) included.
TERMINAL_STATUSES = frozenset({"finished", "failed", "stopped", "preempted", "crashed", "killed"})

#: Stages of a failure before the job has run.
STAGES_BEFORE_RUN = frozenset({"agent", "build"})

#: How an agent's sentence about a stop begins; what it says here is the rest.
_STOPPED = "The job was stopped"

#: States of a run before its start.
_NOT_STARTED = frozenset({None, "pending"})


class Submission(msgspec.Struct, frozen=True):
    """An item that was put into a queue of `entity`. `project` and `run_entity` (by default `entity`) are its run's."""

    item_id: str
    entity: str
    queue: str
    project: str
    queue_project: str = QUEUE_PROJECT
    run_entity: str | None = None

    @property
    def owner(self) -> str:
        """The entity of the run."""
        return self.run_entity or self.entity


class ItemStatus(msgspec.Struct, frozen=True):
    """The status of an item at one moment.

    `status`: queued, claimed, the agent's phase, or the outcome. `state`: W&B's state of the item, in lower case.
    `has_begun`: its run runs or has run. `message` says how it ended, with the `stage`; before that what is being done,
    at launchd's server alone. `agent_id` is that of the agent that has or had it, there alone.
    """

    status: str
    state: str
    run_id: str | None = None
    has_begun: bool = False
    message: str | None = None
    stage: str | None = None
    agent_id: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens."""
        return self.status in TERMINAL_STATUSES


def describe_ending(status: str, stage: str | None, message: str | None, otherwise: str = ".") -> str:
    """Return the rest of a sentence about an item or a run that ended without success, with its full stop.

    ``otherwise`` ends the sentence where there is no ``message``.
    """
    verb = status if status in ("failed", "crashed") else f"was {status}"
    where = f" at stage {stage}" if stage else ""
    return verb + where + (f": {_ended(message)}" if message else otherwise)


def _ended(message: str) -> str:
    """Return a message with its full stop, or with its own question mark."""
    return message if message.endswith("?") else f"{message.rstrip('.')}."


def why_never(server: QueueServer, submission: Submission) -> str | None:
    """Return why no living agent could ever take a queued item, as a sentence; ``None`` where one may.

    Of launchd's server; others do not tell. Raises :class:`QueueServerError`.
    """
    if not server.capabilities().gpu_claims:
        return None
    found = server.why(submission.item_id)
    return next((one.sentence for one in (found.why if found else ()) if one.code == FITS_NO_AGENT), None)


def poll_interval(waited: float) -> float:
    """Return the seconds until the next poll after ``waited`` seconds of polling."""
    return QUICK_SECONDS if waited < QUICK_FOR_SECONDS else SLOW_SECONDS


def fetch_status(server: QueueServer, submission: Submission) -> ItemStatus | None:
    """Return the status of an item, ``None`` where it was deleted; raises :class:`QueueServerError`."""
    if not server.capabilities().launchd_protocol:
        return _fetch_from_wandb(server, submission)
    item = server.item(submission.item_id)
    return None if item is None else status_from_item(item)


def status_from_item(item: Item) -> ItemStatus:
    """Return the status of an item of launchd's server."""
    status = _status_word(item)
    reason = _why_stopped(item) if item.state == "STOPPED" else item.message
    ran = item.associated_run_id is not None and item.stage not in STAGES_BEFORE_RUN
    begun = item.started_at is not None or (status in TERMINAL_STATUSES and ran)
    return ItemStatus(
        status, item.state.lower(), item.associated_run_id, begun, reason, item.stage, item.launch_agent_id
    )


def _why_stopped(item: Item) -> str | None:
    """Return the reason of who asked for the stop at the server, else that of the host, such as a limit of it."""
    return item.stop_reason or (item.message or "").removeprefix(_STOPPED).strip(" :.,") or None


def _status_word(item: Item) -> str:
    match item.state:
        case "PENDING":
            return QUEUED
        case "LEASED" | "CLAIMED":
            return item.phase if item.phase and item.phase not in TERMINAL_STATUSES else "claimed"
        case _:
            return item.state.lower()


def _fetch_from_wandb(server: QueueServer, submission: Submission) -> ItemStatus | None:
    """Return the status of an item of W&B's server, from the item's state and that of its run."""
    item = server.queue_item(submission.entity, submission.queue, submission.item_id, submission.queue_project)
    if item is None:
        return None
    state = item.state.lower()
    if item.associated_run_id is None:
        return ItemStatus(QUEUED if state == "pending" else state, state)
    run = server.run_state(submission.owner, submission.project, item.associated_run_id)
    status = state if state == "failed" else run or state
    return ItemStatus(status, state, item.associated_run_id, run not in _NOT_STARTED)
