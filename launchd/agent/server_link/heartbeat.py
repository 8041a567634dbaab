"""Listens for orders to stop, and shows the queue server that we are alive.

One thread beside the poller, because a stop must be heard while all slots are
taken. At our server the question is held open; at W&B's the agent and the runs are
asked after every few seconds.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from launchd.agent.events import Inbox, Ordered, Registered
from launchd.agent.server_link.agent_run import AgentRun
from launchd.agent.server_link.retry import Contacts, Ended
from launchd.client.errors import Refused
from launchd.client.queue_server import QueueServer, StopOrder

T = TypeVar("T")

STOPPED_RUN_REASON = "its run was stopped on the queue server"

#: How often an unchanged status is told, as a sign of life: as W&B's agent does it.
STATUS_SECONDS = 20.0

#: The pause before an order that still stands is heard again.
REPEATED_ORDER_SECONDS = 0.2

log = logging.getLogger(__name__)


class WatchedRun(msgspec.Struct, frozen=True):
    """A job that the queue server may want stopped; ``stopping`` once we know that it does."""

    item_id: str
    entity: str
    project: str
    run_id: str
    stopping: bool = False


class Watcher(threading.Thread):
    """Asks for orders until told to end."""

    def __init__(
        self,
        server: QueueServer,
        registered: Registered,
        inbox: Inbox,
        agent_run: AgentRun,
        *,
        wait_seconds: float,
        poll_seconds: float,
        stopped_run_timeout: float,
    ) -> None:
        super().__init__(name="watcher", daemon=True)
        self._server = server
        self._registered = registered
        self._inbox = inbox
        self._agent_run = agent_run
        self._wait_seconds = wait_seconds
        self._poll_seconds = poll_seconds
        self._stopped_run_timeout = stopped_run_timeout
        self._ended = threading.Event()
        self._contacts = Contacts(inbox, self._ended)
        self._runs: tuple[WatchedRun, ...] = ()
        self._told_status: str | None = None
        self._told_at = 0.0
        self._refusal: str | None = None
        self._stopped_since: dict[str, float] = {}

    def watch_over(self, runs: tuple[WatchedRun, ...]) -> None:
        """Say which jobs are in our care now."""
        self._runs = runs

    def end(self) -> None:
        """Stop asking; a question that is open is abandoned."""
        self._ended.set()

    def run(self) -> None:
        """Ask for orders for ever."""
        ask = self._ask_native if self._registered.capabilities.native else self._ask_wandb
        try:
            while not self._ended.is_set():
                try:
                    ask()
                except Refused as error:
                    self._note_refusal(str(error))
                    self._contacts.wait(self._poll_seconds)
        except Ended:
            pass

    def _ask_native(self) -> None:
        seen = [run.item_id for run in self._runs if run.stopping]
        agent_id, status = self._registered.agent_id, self._status
        orders = self._contacts.until_answered(lambda: self._server.watch(agent_id, status, seen, self._wait_seconds))
        if orders.stops or orders.stop_polling:
            self._inbox.put(Ordered(orders.stops, orders.stop_polling))
            # An order is given again until it is among `seen`: not in a tight circle.
            self._contacts.wait(REPEATED_ORDER_SECONDS)

    def _ask_wandb(self) -> None:
        stop_polling = self._look_after_agent() if self._registered.agent_id else False
        stops = tuple(StopOrder(run.item_id, STOPPED_RUN_REASON) for run in self._runs if self._is_due(run))
        if stops or stop_polling:
            self._inbox.put(Ordered(stops, stop_polling))
        self._agent_run.beat()
        questions = len(self._runs) + 1
        self._contacts.wait(max(self._poll_seconds, self._server.transport.allowance.spacing() * questions))

    def _look_after_agent(self) -> bool:
        """Show a sign of life; returns whether somebody asked us to end."""
        self._tell_status()
        agent = self._asked(lambda: self._server.agent(self._registered.agent_id))
        return agent is not None and agent.stop_polling

    def _tell_status(self) -> None:
        status, now = self._status, time.monotonic()
        if status == self._told_status and now - self._told_at < STATUS_SECONDS:
            return
        agent_id = self._registered.agent_id

        def tell() -> bool:
            self._server.update_agent(agent_id, status)
            return True

        if self._asked(tell):
            self._told_status, self._told_at = status, now

    def _is_due(self, run: WatchedRun) -> bool:
        """Whether ``run`` was asked to stop long enough ago to be stopped from here: W&B's ``stopped_run_timeout``."""
        if run.stopping:
            return False
        stopped = self._asked(lambda: self._server.run_stopped(run.entity, run.project, run.run_id))
        if stopped is None:
            return False
        if not stopped:
            self._stopped_since.pop(run.item_id, None)
            return False
        now = time.monotonic()
        return now - self._stopped_since.setdefault(run.item_id, now) >= self._stopped_run_timeout

    def _asked(self, ask: Callable[[], T]) -> T | None:
        """Return what ``ask`` returns, or ``None`` where the server refuses: the other questions are still asked."""
        try:
            answer = self._contacts.until_answered(ask)
        except Refused as error:
            self._note_refusal(str(error))
            return None
        return answer

    def _note_refusal(self, error: str) -> None:
        if error != self._refusal:
            self._refusal = error
            log.error("The queue server refused to give orders.", extra={"error": error})

    @property
    def _status(self) -> str:
        return "RUNNING" if self._runs else "POLLING"
