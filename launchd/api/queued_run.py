"""An item that was queued, until its run is over. Owns the waiting; it asks the queue server and nobody else."""

import logging
import math
import time
from collections.abc import Callable

from launchd.api.access import Access
from launchd.api.errors import LaunchError, translate_errors
from launchd.api.item_status import ItemStatus, Submission, fetch_status, has_ended, pause_after
from launchd.client.errors import ServerBusy, ServerUnreachable
from launchd.client.queue_server import RunDetail

log = logging.getLogger(__name__)


class QueuedRun:
    """A run queue item and the run it becomes (W&B: `wandb.apis.public.QueuedRun`).

    `id` is the item's, `queue_name` and `project_queue` say where it stands, `entity` and `project` where its run
    goes; `queue_entity` owns the queue, `priority` is 0 (critical) to 3 (low), `None` where nobody said.
    """

    def __init__(self, access: Access, submission: Submission, priority: int | None = None) -> None:
        self._server = access.queue_server
        self._submission = submission
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
        """The item's state: pending, leased, claimed, failed; our server has finished, stopped and preempted besides.

        Raises:
            LaunchError: the item was deleted, or the server refuses us.
        """
        return self._standing().state

    @property
    def status(self) -> str:
        """One word for how it stands: queued, claimed, the agent's phase or the run's state, or how it ended."""
        return self._standing().word

    @property
    def message(self) -> str | None:
        """Why it ended as it did, where that is known."""
        return self._standing().message

    @property
    @translate_errors()
    def run(self) -> RunDetail | None:
        """The run as it is now, `None` while the item has become none."""
        run_id = self._look().run_id
        return None if run_id is None else self._load(run_id)

    @translate_errors()
    def delete(self) -> None:
        """Remove the item from its queue; a run that goes on already is not stopped.

        Raises:
            LaunchError: there is no such item (any more).
        """
        if not self._server.delete_item(self.queue_entity, self.queue_name, self.id, self.project_queue):
            raise LaunchError(f"There is no item {self.id} in queue {self.queue_name!r}.")

    @translate_errors()
    def stop(self, reason: str = "stopped by its submitter") -> None:
        """Stop the item or its run; `reason` is shown with it. Our server only.

        Raises:
            LaunchError: the item is over, or the server cannot stop items.
        """
        if not self._server.capabilities().launchd_protocol:
            raise LaunchError(f"The server at {self._server.base_url} stops runs, not items: stop its run there.")
        self._server.stop_item(self.id, reason)

    def wait_until_running(self, timeout: float | None = None) -> RunDetail:
        """Wait until the run has begun (or is over already) and return it.

        Args:
            timeout: seconds to wait at most; by default as long as it takes.

        Raises:
            LaunchError: the item ended or was deleted before anything ran; the message says why.
            TimeoutError: it took longer than `timeout`.

        Source: `QueuedRun.wait_until_running`, which waits for ever on an item that failed.
        """
        return self._wait(lambda standing: standing.has_begun, timeout, "to run")

    #: What W&B's documents call it.
    wait_until_started = wait_until_running

    def wait_until_finished(self, timeout: float | None = None) -> RunDetail:
        """Wait until the run is over, well or not, and return it; `state` says how it ended.

        Args and Raises as for :meth:`wait_until_running`.
        """
        return self._wait(lambda standing: standing.is_over, timeout, "to be over")

    def _wait(self, reached: Callable[[ItemStatus], bool], timeout: float | None, what: str) -> RunDetail:
        started = time.monotonic()
        deadline = started + (math.inf if timeout is None else timeout)
        while True:
            word, run = self._look_patiently(reached, deadline)
            if run is not None:
                return run
            now = time.monotonic()
            if now >= deadline:
                raise TimeoutError(f"Item {self.id} was waited for {what} for {timeout:g} s; it is {word}.")
            time.sleep(min(pause_after(now - started), deadline - now))

    @translate_errors()
    def _look_patiently(self, reached: Callable[[ItemStatus], bool], deadline: float) -> tuple[str, RunDetail | None]:
        """Return the word for how it stands, and the run once that is ``reached`` and the server shows it."""
        try:
            with self._server.transport.until(deadline):
                standing = self._look()
                run = self._run_of(standing) if reached(standing) or standing.is_over else None
        except (ServerUnreachable, ServerBusy) as error:
            log.debug("The queue server does not answer; the wait goes on.", extra={"error": str(error)})
            return "not known: the queue server does not answer", None
        return standing.word, run

    @translate_errors()
    def _standing(self) -> ItemStatus:
        return self._look()

    def _look(self) -> ItemStatus:
        standing = fetch_status(self._server, self._submission)
        if standing is None:
            raise LaunchError(f"Item {self.id} is not in queue {self.queue_name!r} any more: it was deleted.")
        return standing

    def _run_of(self, standing: ItemStatus) -> RunDetail | None:
        """The run of an item that has begun or is over; ``None`` while the server does not show it yet."""
        if standing.is_over and not standing.has_begun:
            how = has_ended(standing.word, standing.stage, standing.message, " before anything ran.")
            raise LaunchError(f"Item {self.id} {how}")
        return None if standing.run_id is None else self._load(standing.run_id)

    def _load(self, run_id: str) -> RunDetail | None:
        return self._server.run(self.entity, self.project, run_id)

    def __repr__(self) -> str:
        return f"<QueuedRun {self.queue_name} ({self.id})>"
