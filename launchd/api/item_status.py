"""How an item that somebody queued stands, at our server and at W&B's. Owns the words for it; it waits for nothing."""

import msgspec

from launchd.client.queue_server import QUEUE_PROJECT, Item, QueueServer

QUEUED = "queued"

#: Between two looks: often while things are new, then less.
QUICK_SECONDS, SLOW_SECONDS, QUICK_FOR_SECONDS = 0.1, 1.0, 10.0

#: Words after which nothing more happens; those of runs (W&B's server) included.
OVER = frozenset({"finished", "failed", "stopped", "preempted", "crashed", "killed"})

#: Stages of a failure at which nothing of the job has run yet.
BEFORE_THE_RUN = frozenset({"agent", "build"})

#: States of a run that nobody has started yet.
_NOT_STARTED = frozenset({None, "pending"})


class Submission(msgspec.Struct, frozen=True):
    """An item that stands in a queue. `project` and `run_entity` (by default `entity`) are those of its run."""

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
    """How an item stands.

    `word`: queued, claimed, the agent's phase, or the outcome. `state`: W&B's word for the item's state, in lower case.
    `has_begun`: its run runs or has run. `message` and `stage` are known of an end alone.
    """

    word: str
    state: str
    run_id: str | None = None
    has_begun: bool = False
    message: str | None = None
    stage: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens."""
        return self.word in OVER


def has_ended(word: str, stage: str | None, message: str | None, otherwise: str = ".") -> str:
    """Return how a sentence on an item or a run goes on, to its full stop, that did not end well.

    ``otherwise`` is its end where there is no ``message``.
    """
    verb = word if word in ("failed", "crashed") else f"was {word}"
    where = f" at stage {stage}" if stage else ""
    return verb + where + (f": {message.rstrip('.')}." if message else otherwise)


def pause_after(waited: float) -> float:
    """Return the seconds until the next look, of somebody who has waited so many."""
    return QUICK_SECONDS if waited < QUICK_FOR_SECONDS else SLOW_SECONDS


def fetch_status(server: QueueServer, submission: Submission) -> ItemStatus | None:
    """Return how the item stands, ``None`` where it was deleted; raises :class:`QueueServerError`."""
    if not server.capabilities().launchd_protocol:
        return _look_at_wandb(server, submission)
    item = server.item(submission.item_id)
    return None if item is None else status_of(item)


def status_of(item: Item) -> ItemStatus:
    """Return how an item of our own server stands."""
    word = _word(item)
    reason = item.stop_reason if item.state == "STOPPED" else item.message
    ran = item.associated_run_id is not None and item.stage not in BEFORE_THE_RUN
    begun = item.started_at is not None or (word in OVER and ran)
    return ItemStatus(word, item.state.lower(), item.associated_run_id, begun, reason, item.stage)


def _word(item: Item) -> str:
    match item.state:
        case "PENDING":
            return QUEUED
        case "LEASED" | "CLAIMED":
            return item.phase if item.phase and item.phase not in OVER else "claimed"
        case _:
            return item.state.lower()


def _look_at_wandb(server: QueueServer, submission: Submission) -> ItemStatus | None:
    """W&B's server tells the item's state, and that of the run it became."""
    item = server.queue_item(submission.entity, submission.queue, submission.item_id, submission.queue_project)
    if item is None:
        return None
    state = item.state.lower()
    if item.associated_run_id is None:
        return ItemStatus(QUEUED if state == "pending" else state, state)
    run = server.run_state(submission.owner, submission.project, item.associated_run_id)
    word = state if state == "failed" else run or state
    return ItemStatus(word, state, item.associated_run_id, run not in _NOT_STARTED)
