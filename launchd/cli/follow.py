"""Follows a launched item to its end: prints a line per change of its status, then the outcome."""

import time

from launchd.api.item_status import (
    NEXT_WARNING_SECONDS,
    QUEUED,
    UNSERVED_WARNING_SECONDS,
    ItemStatus,
    Submission,
    describe_ending,
    fetch_status,
    poll_interval,
    why_never,
)
from launchd.cli.agents import agent_status
from launchd.cli.terminal import echo
from launchd.client.errors import QueueServerError, ServerBusy, ServerUnreachable
from launchd.client.queue_server import QueueServer
from launchd.humanize import one_line

INTERRUPTED = 130

#: Status of a deleted item.
_DELETED = ItemStatus("stopped", "deleted", message="its item was deleted")


def follow(server: QueueServer, submission: Submission) -> int:
    """Print the changes of an item's status until it is over; returns the exit code. Ctrl-C stops the job.

    Raises:
        QueueServerError: the server refuses. While it does not answer, the wait goes on.
    """
    try:
        last = _Follower(server, submission).until_over()
    except KeyboardInterrupt:
        answer = server.stop_item(submission.item_id, "stopped by its submitter with Ctrl-C")
        echo("", f"{answer} See how it ends with: launchd logs -f {submission.item_id}", err=True)
        return INTERRUPTED
    if last.status == "finished":
        _print_output_hint(submission)
        return 0
    echo(f"Error: The job {describe_ending(last.status, last.stage, one_line(last.message))}", err=True)
    if last.stage == "run":
        _print_output_hint(submission)
    return 1


def _print_output_hint(submission: Submission) -> None:
    echo(f"Its output, on the host that ran it: launchd logs {submission.item_id}", err=True)


class _Follower:
    """Polls the status of one item."""

    def __init__(self, server: QueueServer, submission: Submission) -> None:
        self._server = server
        self._submission = submission
        self._started = time.monotonic()
        self._shown = ""
        self._look_after = UNSERVED_WARNING_SECONDS
        self._warned: str | None = None

    def until_over(self) -> ItemStatus:
        """Print each change; returns the last status."""
        while (current := self._poll()) is None or not current.is_over:
            if current is not None:
                self._show(current.status)
                self._warn_if_stuck(current.status)
            time.sleep(poll_interval(self._seconds()))
        self._show(current.status)
        return current

    def _poll(self) -> ItemStatus | None:
        try:
            return fetch_status(self._server, self._submission) or _DELETED
        except (ServerUnreachable, ServerBusy) as error:
            self._show("the queue server does not answer", str(error))
            return None

    def _show(self, status: str, detail: str = "") -> None:
        if status != self._shown:
            self._shown = status
            echo(f"{self._seconds():7.1f} s  {status}" + (f" ({detail})" if detail else ""))

    def _warn_if_stuck(self, status: str) -> None:
        """Say, once for each reason, where no agent that there is takes the item."""
        if status != QUEUED or self._seconds() < self._look_after:
            return
        self._look_after = self._seconds() + NEXT_WARNING_SECONDS
        warning = _why_stuck(self._server, self._submission)
        if warning is not None and warning != self._warned:
            self._warned = warning
            echo(warning, err=True)

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _why_stuck(server: QueueServer, submission: Submission) -> str | None:
    try:
        if not _is_served(server, submission):
            return f"No agent takes jobs from queue {submission.queue!r} now; the item waits."
        never = why_never(server, submission)
    except QueueServerError:
        return None  # Not known: no warning.
    return None if never is None else f"{never} The item waits for an agent that could."


def _is_served(server: QueueServer, submission: Submission) -> bool:
    agents = server.agents(submission.entity)
    return any(
        submission.queue in agent.queue_names and agent_status(agent) in ("Polling", "Running") for agent in agents
    )
