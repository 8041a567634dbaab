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

from launchd.agent.events import EventQueue, Registered, StopRequested
from launchd.agent.server_link.agent_run import AgentRun
from launchd.agent.server_link.retry import RetryingCaller, Stopped
from launchd.client.errors import Refused
from launchd.client.queue_server import QueueServer, StopRequest

T = TypeVar("T")

STOPPED_RUN_REASON = "its run was stopped on the queue server"

#: How often an unchanged status is told, as a sign of life: as W&B's agent does it.
STATUS_SECONDS = 20.0

#: The pause before an order that still stands is heard again.
REPEATED_STOP_SECONDS = 0.2

log = logging.getLogger(__name__)


class MonitoredRun(msgspec.Struct, frozen=True):
    """A job that the queue server may want stopped; ``stopping`` once we know that it does."""

    item_id: str
    entity: str
    project: str
    run_id: str
    stopping: bool = False


class HeartbeatLoop(threading.Thread):
    """Asks for orders until told to end."""

    def __init__(
        self,
        server: QueueServer,
        registered: Registered,
        events: EventQueue,
        agent_run: AgentRun,
        *,
        wait_seconds: float,
        poll_seconds: float,
        stopped_run_timeout: float,
    ) -> None:
        super().__init__(name="watcher", daemon=True)
        self._server = server
        self._registered = registered
        self._events = events
        self._agent_run = agent_run
        self._wait_seconds = wait_seconds
        self._poll_seconds = poll_seconds
        self._stopped_run_timeout = stopped_run_timeout
        self._stopped = threading.Event()
        self._caller = RetryingCaller(events, self._stopped)
        self._runs: tuple[MonitoredRun, ...] = ()
        self._sent_status: str | None = None
        self._sent_status_at = 0.0
        self._refusal: str | None = None
        self._stopped_since: dict[str, float] = {}

    def set_active_jobs(self, runs: tuple[MonitoredRun, ...]) -> None:
        """Say which jobs are in our care now."""
        self._runs = runs

    def end(self) -> None:
        """Stop asking; a question that is open is abandoned."""
        self._stopped.set()

    def run(self) -> None:
        """Ask for orders for ever."""
        ask = self._poll_launchd if self._registered.capabilities.launchd_protocol else self._poll_wandb
        try:
            while not self._stopped.is_set():
                try:
                    ask()
                except Refused as error:
                    self._note_refusal(str(error))
                    self._caller.wait(self._poll_seconds)
        except Stopped:
            pass

    def _poll_launchd(self) -> None:
        seen = [run.item_id for run in self._runs if run.stopping]
        agent_id, status = self._registered.agent_id, self._status
        orders = self._caller.retry_forever(lambda: self._server.watch(agent_id, status, seen, self._wait_seconds))
        if orders.stops or orders.stop_polling:
            self._events.put(StopRequested(orders.stops, orders.stop_polling))
            # An order is given again until it is among `seen`: not in a tight circle.
            self._caller.wait(REPEATED_STOP_SECONDS)

    def _poll_wandb(self) -> None:
        stop_polling = self._poll_agent() if self._registered.agent_id else False
        stops = tuple(StopRequest(run.item_id, STOPPED_RUN_REASON) for run in self._runs if self._is_due(run))
        if stops or stop_polling:
            self._events.put(StopRequested(stops, stop_polling))
        self._agent_run.heartbeat()
        questions = len(self._runs) + 1
        self._caller.wait(max(self._poll_seconds, self._server.transport.rate_limit.spacing() * questions))

    def _poll_agent(self) -> bool:
        """Show a sign of life; returns whether somebody asked us to end."""
        self._send_status()
        agent = self._asked(lambda: self._server.agent(self._registered.agent_id))
        return agent is not None and agent.stop_polling

    def _send_status(self) -> None:
        status, now = self._status, time.monotonic()
        if status == self._sent_status and now - self._sent_status_at < STATUS_SECONDS:
            return
        agent_id = self._registered.agent_id

        def tell() -> bool:
            self._server.update_agent(agent_id, status)
            return True

        if self._asked(tell):
            self._sent_status, self._sent_status_at = status, now

    def _is_due(self, run: MonitoredRun) -> bool:
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
            answer = self._caller.retry_forever(ask)
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
