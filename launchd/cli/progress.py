"""Waiting for an item that was launched: a line per change, then its outcome."""

import time

import click
import msgspec

from launchd.cli.agents import status_of
from launchd.client.errors import QueueServerError, ServerBusy, ServerUnreachable
from launchd.client.queue_server import Item, QueueServer

#: Between two looks: often while things are new, then less.
QUICK_SECONDS, SLOW_SECONDS, QUICK_FOR_SECONDS = 0.1, 1.0, 10.0

#: After this time in the queue, say so if nobody can be taking the item.
PATIENCE_SECONDS = 5.0

INTERRUPTED = 130

QUEUED = "queued"

#: Words after which nothing more happens; those of runs (W&B's server) included.
OVER = frozenset({"finished", "failed", "stopped", "preempted", "crashed", "killed"})


class Submission(msgspec.Struct, frozen=True):
    """An item that stands in a queue."""

    item_id: str
    entity: str
    queue: str
    project: str


class Sight(msgspec.Struct, frozen=True):
    """How the item stands: a word for it, and for its end what is known of it."""

    word: str
    message: str | None = None
    stage: str | None = None


def follow(server: QueueServer, submission: Submission) -> int:
    """Print what becomes of the item until it is over; returns the exit code. Ctrl-C stops the job.

    Raises:
        QueueServerError: the server refuses us. While it is away, we wait.
    """
    try:
        last = _Watch(server, submission).until_over()
    except KeyboardInterrupt:
        server.stop_item(submission.item_id, "stopped by its submitter with Ctrl-C")
        click.echo(f"\nThe job is being stopped. See how it ends with: launchd logs -f {submission.item_id}", err=True)
        return INTERRUPTED
    if last.word == "finished":
        return 0
    stage = f" at stage {last.stage}" if last.stage else ""
    reason = f": {last.message.rstrip('.')}." if last.message else "."
    click.echo(f"Error: The job {_verb(last.word)}{stage}{reason}", err=True)
    if last.stage == "run":
        click.echo(f"Its output, on the host that ran it: launchd logs {submission.item_id}", err=True)
    return 1


class _Watch:
    """Looks at one item again and again."""

    def __init__(self, server: QueueServer, submission: Submission) -> None:
        self._server = server
        self._submission = submission
        self._started = time.monotonic()
        self._shown = ""
        self._warned = False

    def until_over(self) -> Sight:
        """Print each change; returns the last."""
        while (sight := self._look()) is None or sight.word not in OVER:
            if sight is not None:
                self._show(sight.word)
                self._warn_if_nobody_comes(sight.word)
            time.sleep(QUICK_SECONDS if self._seconds() < QUICK_FOR_SECONDS else SLOW_SECONDS)
        self._show(sight.word)
        return sight

    def _look(self) -> Sight | None:
        try:
            return _sight(self._server, self._submission)
        except (ServerUnreachable, ServerBusy) as error:
            self._show("the queue server does not answer", str(error))
            return None

    def _show(self, word: str, detail: str = "") -> None:
        if word != self._shown:
            self._shown = word
            click.echo(f"{self._seconds():7.1f} s  {word}" + (f" ({detail})" if detail else ""))

    def _warn_if_nobody_comes(self, word: str) -> None:
        if word != QUEUED or self._warned or self._seconds() < PATIENCE_SECONDS:
            return
        self._warned = True
        if not _is_served(self._server, self._submission):
            click.echo(f"No agent takes jobs from queue {self._submission.queue!r} now; the item waits.", err=True)

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _sight(server: QueueServer, submission: Submission) -> Sight:
    if not server.capabilities().native:
        return _sight_at_wandb(server, submission)
    item = server.item(submission.item_id)
    if item is None:
        return Sight("stopped", "its item was deleted")
    return Sight(_word(item), item.stop_reason if item.state == "STOPPED" else item.message, item.stage)


def _word(item: Item) -> str:
    match item.state:
        case "PENDING":
            return QUEUED
        case "LEASED" | "CLAIMED":
            return item.phase if item.phase and item.phase not in OVER else "claimed"
        case _:
            return item.state.lower()


def _sight_at_wandb(server: QueueServer, submission: Submission) -> Sight:
    """W&B's server tells the item's state, and that of the run it became."""
    item = server.queue_item(submission.entity, submission.queue, submission.item_id)
    if item is None:
        return Sight("stopped", "its item was deleted")
    run = item.associated_run_id and server.run_state(submission.entity, submission.project, item.associated_run_id)
    return Sight(run or (QUEUED if item.state == "PENDING" else item.state.lower()))


def _is_served(server: QueueServer, submission: Submission) -> bool:
    try:
        agents = server.agents(submission.entity)
    except QueueServerError:
        return True  # Not known to be otherwise.
    return any(submission.queue in agent.queue_names and status_of(agent) in ("Polling", "Running") for agent in agents)


def _verb(word: str) -> str:
    return word if word in ("failed", "crashed") else f"was {word}"
