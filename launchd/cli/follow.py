"""Follows a launched item to its end: prints a line per change of its status, then the outcome."""

import time

from ipc.visible_text import visible
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
from launchd.cli.followed_output import FollowedOutput, last_lines
from launchd.cli.tables import cut, terminal_width
from launchd.cli.terminal import Clock, echo
from launchd.client.errors import QueueServerError, ServerBusy, ServerUnreachable
from launchd.client.queue_server import QueueServer
from launchd.humanize import one_line

INTERRUPTED = 130

#: What a job is doing is printed as seldom as this, in seconds, where the terminal shows no clock.
PROGRESS_SECONDS = 10.0

#: What is shown in place of a status.
AWAY = "the queue server does not answer"

#: Status of a deleted item.
_DELETED = ItemStatus("stopped", "deleted", message="its item was deleted")


def follow(server: QueueServer, submission: Submission, *, with_output: bool = False) -> int:
    """Print the changes of an item's status until it is over; returns the exit code. Ctrl-C stops the job.

    ``with_output``: print the job's output as well, where the server passes it on. The last lines of that of a job that
    failed are printed in any case.

    Raises:
        QueueServerError: the server refuses. While it does not answer, the wait goes on.
    """
    passes_on = server.capabilities().outputs
    output = FollowedOutput(server, submission.item_id) if with_output and passes_on else None
    try:
        if output is not None:
            output.start()
        last = _Follower(server, submission, output).until_over()
    except KeyboardInterrupt:
        answer = server.stop_item(submission.item_id, "stopped by its submitter with Ctrl-C")
        echo("", f"{answer} See how it ends with: launchd logs -f {submission.item_id}", err=True)
        return INTERRUPTED
    return _print_ending(server, submission, last, output)


def _print_ending(server: QueueServer, submission: Submission, last: ItemStatus, output: FollowedOutput | None) -> int:
    """Print how an item ended, and what its output says of that; returns the exit code."""
    succeeded = last.status == "finished"
    if not succeeded:
        message = describe_ending(last.status, last.stage, one_line(last.message))
        echo(f"Error: The job {message}", err=True)
    if output is None and (succeeded or last.stage == "run"):
        lines = [] if succeeded or not server.capabilities().outputs else last_lines(server, submission.item_id)
        if lines:
            echo("The last lines of its output:", *(f"  {line}" for line in lines), err=True)
        echo(f"Its output: launchd logs {submission.item_id}", err=True)
    return 0 if succeeded else 1


class _Follower:
    """Polls the status of one item."""

    def __init__(self, server: QueueServer, submission: Submission, output: FollowedOutput | None) -> None:
        self._server = server
        self._submission = submission
        self._output = output
        self._started = time.monotonic()
        self._shown = ""
        self._shown_at = self._started
        self._host: str | None = None
        self._look_after = UNSERVED_WARNING_SECONDS
        self._warned: str | None = None
        self._clock = Clock()
        self._progress = ""
        self._progress_at = self._started

    def until_over(self) -> ItemStatus:
        """Print each change; returns the last status, after the end of the output."""
        while (current := self._poll()) is None or not current.is_over:
            if current is not None:
                self._show(current.status, self._on_host(current))
                self._show_progress(current)
                self._warn_if_stuck(current.status)
                self._show_clock(current)
            time.sleep(poll_interval(self._seconds()))
        self._clock.clear()
        if self._output is not None and current.agent_id is not None:
            self._output.finish()
        self._show(current.status, self._on_host(current))
        return current

    def _on_host(self, current: ItemStatus) -> str:
        """Return where a job is, once: at the first status at which that is known."""
        if self._host is not None or current.agent_id is None:
            return ""
        self._host = _host_of(self._server, self._submission, current.agent_id)
        return f"on host {self._host}" if self._host else ""

    def _show_clock(self, current: ItemStatus) -> None:
        """Show how long the job has been in a status in which it prints nothing."""
        if current.status != "running" or self._output is None:
            doing = f": {one_line(current.message)}" if current.message else ""
            line = cut(visible(f"{self._seconds():7.1f} s  {current.status}{doing}"), terminal_width() - 1)
            self._clock.show(line, time.monotonic() - self._shown_at)

    def _show_progress(self, current: ItemStatus) -> None:
        """Print what is being done, such as the line of a build: seldom, and where no clock shows it."""
        doing = one_line(current.message)
        is_due = time.monotonic() - max(self._progress_at, self._shown_at) > PROGRESS_SECONDS
        if current.is_over or self._clock.can_show or not is_due or doing in ("", self._progress):
            return
        self._progress, self._progress_at = doing, time.monotonic()
        self._echo(f"{self._seconds():7.1f} s  {current.status}: {doing}")

    def _poll(self) -> ItemStatus | None:
        try:
            return fetch_status(self._server, self._submission) or _DELETED
        except (ServerUnreachable, ServerBusy) as error:
            if self._shown != AWAY:
                self._show(AWAY, str(error))
            return None

    def _show(self, status: str, detail: str = "") -> None:
        if status == self._shown and not detail:
            return
        if status != self._shown:
            self._shown, self._shown_at = status, time.monotonic()
        self._clock.clear()
        self._echo(f"{self._seconds():7.1f} s  {status}" + (f" ({detail})" if detail else ""))

    def _echo(self, line: str) -> None:
        if self._output is None:
            echo(line)
        else:
            self._output.echo(line)

    def _warn_if_stuck(self, status: str) -> None:
        """Say, once for each reason, where no agent that there is takes the item."""
        if status != QUEUED or self._seconds() < self._look_after:
            return
        self._look_after = self._seconds() + NEXT_WARNING_SECONDS
        warning = _why_stuck(self._server, self._submission)
        if warning is not None and warning != self._warned:
            self._warned = warning
            self._clock.clear()
            echo(warning, err=True)

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _host_of(server: QueueServer, submission: Submission, agent_id: str) -> str | None:
    try:
        agents = server.agents(submission.entity)
    except QueueServerError:
        return None
    return next((agent.hostname for agent in agents if agent.id == agent_id), None)


def _why_stuck(server: QueueServer, submission: Submission) -> str | None:
    try:
        queue = server.queue(submission.entity, submission.queue, submission.queue_project)
        if queue is not None and queue.paused_at is not None:
            return f"Queue {submission.queue!r} was paused by {queue.paused_by}; the item waits until it is resumed."
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
