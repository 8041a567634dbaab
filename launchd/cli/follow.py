"""Waiting for an item that was launched: a line per change, then its outcome."""

import time

import click

from launchd.api.item_status import QUEUED, ItemStatus, Submission, describe_ending, fetch_status, poll_interval
from launchd.cli.agents import agent_status
from launchd.client.errors import QueueServerError, ServerBusy, ServerUnreachable
from launchd.client.queue_server import QueueServer

#: After this time in the queue, say so if nobody can be taking the item.
UNSERVED_WARNING_SECONDS = 5.0

INTERRUPTED = 130

#: What is seen of an item that somebody deleted.
_DELETED = ItemStatus("stopped", "deleted", message="its item was deleted")


def follow(server: QueueServer, submission: Submission) -> int:
    """Print what becomes of the item until it is over; returns the exit code. Ctrl-C stops the job.

    Raises:
        QueueServerError: the server refuses us. While it is away, we wait.
    """
    try:
        last = _Follower(server, submission).until_over()
    except KeyboardInterrupt:
        server.stop_item(submission.item_id, "stopped by its submitter with Ctrl-C")
        click.echo(f"\nThe job is being stopped. See how it ends with: launchd logs -f {submission.item_id}", err=True)
        return INTERRUPTED
    if last.status == "finished":
        _print_output_hint(submission)
        return 0
    click.echo(f"Error: The job {describe_ending(last.status, last.stage, last.message)}", err=True)
    if last.stage == "run":
        _print_output_hint(submission)
    return 1


def _print_output_hint(submission: Submission) -> None:
    click.echo(f"Its output, on the host that ran it: launchd logs {submission.item_id}", err=True)


class _Follower:
    """Looks at one item again and again."""

    def __init__(self, server: QueueServer, submission: Submission) -> None:
        self._server = server
        self._submission = submission
        self._started = time.monotonic()
        self._shown = ""
        self._warned = False

    def until_over(self) -> ItemStatus:
        """Print each change; returns the last."""
        while (standing := self._poll()) is None or not standing.is_over:
            if standing is not None:
                self._show(standing.status)
                self._warn_if_unserved(standing.status)
            time.sleep(poll_interval(self._seconds()))
        self._show(standing.status)
        return standing

    def _poll(self) -> ItemStatus | None:
        try:
            return fetch_status(self._server, self._submission) or _DELETED
        except (ServerUnreachable, ServerBusy) as error:
            self._show("the queue server does not answer", str(error))
            return None

    def _show(self, word: str, detail: str = "") -> None:
        if word != self._shown:
            self._shown = word
            click.echo(f"{self._seconds():7.1f} s  {word}" + (f" ({detail})" if detail else ""))

    def _warn_if_unserved(self, word: str) -> None:
        if word != QUEUED or self._warned or self._seconds() < UNSERVED_WARNING_SECONDS:
            return
        self._warned = True
        if not _is_served(self._server, self._submission):
            click.echo(f"No agent takes jobs from queue {self._submission.queue!r} now; the item waits.", err=True)

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _is_served(server: QueueServer, submission: Submission) -> bool:
    try:
        agents = server.agents(submission.entity)
    except QueueServerError:
        return True  # Not known to be otherwise.
    return any(
        submission.queue in agent.queue_names and agent_status(agent) in ("Polling", "Running") for agent in agents
    )
