"""A queued item and its run. Owns the waits for them, by polling the queue server."""

import logging
import math
import time
from collections.abc import Callable

from launchd.api.access import Access
from launchd.api.errors import LaunchError, translate_errors
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
from launchd.client.errors import QueueServerError, ServerBusy, ServerUnreachable
from launchd.client.queue_server import RunDetail

log = logging.getLogger(__name__)


class QueuedRun:
    """A run queue item and its run (W&B: `wandb.apis.public.QueuedRun`).

    `id` is the item's id; `queue_entity`, `queue_name` and `project_queue` name its queue, `entity` and `project` are
    those of its run; `priority` is 0 (critical) to 3 (low), `None` where none was given.
    """

    def __init__(self, access: Access, submission: Submission, priority: int | None = None) -> None:
        self._server = access.queue_server
        self._submission = submission
        self._warned: str | None = None
        self.priority = priority
        self.id = submission.item_id
        self.item_id = submission.item_id
        self.queue_name = submission.queue
        self.queue_entity = submission.entity
        self.project_queue = submission.queue_project
        self.entity = submission.owner
        self.project = submission.project

    @property
    def state(self) -> str:
        """State of the item: pending, leased, claimed, failed; at launchd's server also finished, stopped, preempted.

        Raises:
            LaunchError: the item was deleted, or the server refuses or does not answer.
        """
        return self._fetch().state

    @property
    def status(self) -> str:
        """Status in one word: queued, claimed, the agent's phase or the run's state, or the outcome."""
        return self._fetch().status

    @property
    def message(self) -> str | None:
        """Reason of the outcome, `None` where it is not known."""
        return self._fetch().message

    @property
    @translate_errors()
    def run(self) -> RunDetail | None:
        """The run in its present state, `None` before it exists."""
        run_id = self._fetch_status().run_id
        return None if run_id is None else self._load(run_id)

    @translate_errors()
    def delete(self) -> None:
        """Remove the item from its queue; a run that has begun is not stopped.

        Raises:
            LaunchError: the queue has no such item, or the server refuses or does not answer.
        """
        if not self._server.delete_item(self.queue_entity, self.queue_name, self.id, self.project_queue):
            raise LaunchError(f"There is no item {self.id} in queue {self.queue_name!r}.")

    @translate_errors()
    def stop(self, reason: str = "stopped by its submitter") -> None:
        """Stop the item or its run. At launchd's server only.

        Args:
            reason: shown to users with the item.

        Raises:
            LaunchError: the item is over, or the server cannot stop items.
        """
        if not self._server.capabilities().launchd_protocol:
            raise LaunchError(f"The server at {self._server.base_url} stops runs, not items: stop its run there.")
        self._server.stop_item(self.id, reason)

    def wait_until_running(self, timeout: float | None = None) -> RunDetail:
        """Wait until the run has begun, or is over already, and return it.

        An outage of the server does not end the wait.

        Args:
            timeout: the longest wait in seconds; `None`, the default, sets no limit.

        Raises:
            LaunchError: the item ended or was deleted before anything ran; the message says why.
            TimeoutError: the wait took longer than `timeout`.

        Source: `QueuedRun.wait_until_running`, which waits for ever on an item that failed.
        """
        return self._wait(lambda current: current.has_begun, timeout, "to run")

    #: Its name in W&B's documentation.
    wait_until_started = wait_until_running

    def wait_until_finished(self, timeout: float | None = None) -> RunDetail:
        """Wait until the run is over, with success or without, and return it; its `state` is the outcome.

        Args and Raises as for :meth:`wait_until_running`.
        """
        return self._wait(lambda current: current.is_over, timeout, "to be over")

    def _wait(self, reached: Callable[[ItemStatus], bool], timeout: float | None, what: str) -> RunDetail:
        started = time.monotonic()
        deadline = started + (math.inf if timeout is None else timeout)
        look_at = started + UNSERVED_WARNING_SECONDS
        while True:
            status, run = self._poll(reached, deadline)
            if run is not None:
                return run
            now = time.monotonic()
            if now >= deadline:
                raise TimeoutError(f"Item {self.id} was waited for {what} for {timeout:g} s; it is {status}.")
            if status == QUEUED and now >= look_at:
                look_at = now + NEXT_WARNING_SECONDS
                self._warn_if_stuck()
            time.sleep(min(poll_interval(now - started), deadline - now))

    def _warn_if_stuck(self) -> None:
        """Log, once for each reason, where no living agent could ever take the item."""
        try:
            never = why_never(self._server, self._submission)
        except QueueServerError:
            return  # Not known: no warning.
        if never is not None and never != self._warned:
            self._warned = never
            log.warning("Item %s waits for an agent that could take it. %s", self.id, never)

    @translate_errors()
    def _poll(self, reached: Callable[[ItemStatus], bool], deadline: float) -> tuple[str, RunDetail | None]:
        """Return the status, and the run once the status is ``reached`` and the server shows the run."""
        try:
            with self._server.transport.until(deadline):
                current = self._fetch_status()
                run = self._run_of(current) if reached(current) or current.is_over else None
        except (ServerUnreachable, ServerBusy) as error:
            log.debug("The queue server does not answer; the wait goes on.", extra={"error": str(error)})
            return "not known: the queue server does not answer", None
        return current.status, run

    @translate_errors()
    def _fetch(self) -> ItemStatus:
        return self._fetch_status()

    def _fetch_status(self) -> ItemStatus:
        current = fetch_status(self._server, self._submission)
        if current is None:
            raise LaunchError(f"Item {self.id} is not in queue {self.queue_name!r} any more: it was deleted.")
        return current

    def _run_of(self, current: ItemStatus) -> RunDetail | None:
        """Return the run of an item that has begun or is over; ``None`` while the server does not show it yet."""
        if current.is_over and not current.has_begun:
            ending = describe_ending(current.status, current.stage, current.message, " before anything ran.")
            raise LaunchError(f"Item {self.id} {ending}")
        return None if current.run_id is None else self._load(current.run_id)

    def _load(self, run_id: str) -> RunDetail | None:
        return self._server.run(self.entity, self.project, run_id)

    def __repr__(self) -> str:
        return f"<QueuedRun {self.queue_name} ({self.id})>"
