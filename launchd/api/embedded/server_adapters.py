"""The queue server as an agent's process of a program sees it: with items that the program hands over.

Two of them. `CallersQueue` stands for a server with one queue, which holds what its caller launches and nothing else;
`StandbyServer` is the real one, whose queues are served once the caller says so. All else that a job's worker or the
supervisor asks goes to the real server. The supervisor knows nothing of this: it claims, acknowledges and reports.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ipc.run_spec import SCHEDULER_URI
from launchd.api.item_status import OVER
from launchd.client.base import CURRENT_WANDB
from launchd.client.queue_server import (
    QUEUE_PROJECT,
    Ack,
    Agent,
    AgentCommands,
    Capabilities,
    Claim,
    ClaimedItem,
    Queue,
    QueueServer,
    Report,
    StopRequest,
)

#: The one queue of a caller, and the one agent that serves it.
CALLER = "caller"

#: While queues are served, what is handed over waits no longer than this for an open question to be answered.
HANDED_OVER_SECONDS = 5.0

#: It does what our server does for its agent, and keeps nothing.
_CALLERS = msgspec.structs.replace(CURRENT_WANDB, launchd_protocol=True, run_files=False, artifact_memberships=False)


class ItemHandover:
    """Items on their way from a caller to its agent, and the caller's orders. Any thread may call."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: list[ClaimedItem] = []
        self._stops: dict[str, str] = {}
        self._over: set[str] = set()
        self._is_ending = False
        self.claims = False

    def offer(self, item: ClaimedItem) -> None:
        """Hand an item over."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def stop(self, item_id: str, reason: str) -> None:
        """Order a job stopped, also one that is still to be claimed: what an earlier agent started may run."""
        with self._changed:
            if item_id not in self._over:
                self._stops[item_id] = reason
                self._changed.notify_all()

    def note_end(self, item_id: str) -> None:
        """Note that this job is over."""
        with self._changed:
            self._over.add(item_id)
            self._stops.pop(item_id, None)

    def start_claiming(self) -> None:
        """Let the agent serve its queues."""
        with self._changed:
            self.claims = True
            self._changed.notify_all()

    def end(self) -> None:
        """Order the agent to leave once all its jobs are over."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()

    def take(self, jobs: int, schedulers: int, seconds: float) -> tuple[ClaimedItem, ...]:
        """Return at most so many items of each kind; waits for one for at most ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted(jobs, schedulers) or self.claims, seconds)
            taken = self._wanted(jobs, schedulers)
            self._items = [item for item in self._items if item not in taken]
        return tuple(taken)

    def orders(self, seen: Sequence[str], seconds: float) -> AgentCommands:
        """Return the orders to stop that are not among those ``seen``; waits for one for at most ``seconds``."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (self._is_ending or self._orders(seen)) and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return AgentCommands(self._is_ending, self._orders(seen))

    def _orders(self, seen: Sequence[str]) -> tuple[StopRequest, ...]:
        return tuple(StopRequest(item_id, reason) for item_id, reason in self._stops.items() if item_id not in seen)

    def _wanted(self, jobs: int, schedulers: int) -> list[ClaimedItem]:
        kinds = {False: jobs, True: schedulers}
        wanted = []
        for item in self._items:
            kind = item.run_spec.get("uri") == SCHEDULER_URI
            if kinds[kind] > 0:
                kinds[kind] -= 1
                wanted.append(item)
        return wanted


class StandbyServer(QueueServer):
    """A real queue server, of which nothing is claimed before the caller says so."""

    def __init__(self, base_url: str, api_key: str, handover: ItemHandover) -> None:
        super().__init__(base_url, api_key)
        self._handover = handover

    def claim(self, agent_id: str, claim_id: str, max_items: int, max_schedulers: int, wait_seconds: float) -> Claim:
        """Return what was handed over; nothing there: wait for work at the server, if we may."""
        handed = self._handover.take(max_items, max_schedulers, wait_seconds)
        if handed or not self._handover.claims:
            return Claim(handed)
        return super().claim(agent_id, claim_id, max_items, max_schedulers, min(wait_seconds, HANDED_OVER_SECONDS))

    def pop(self, entity: str, queue: str, agent_id: str | None, project: str = QUEUE_PROJECT) -> ClaimedItem | None:
        """As :meth:`claim`, at W&B's server."""
        handed = self._handover.take(1, 0, 0.0) or self._handover.take(0, 1, 0.0)
        if handed:
            return handed[0]
        return super().pop(entity, queue, agent_id, project) if self._handover.claims else None


class ProgramQueue(QueueServer):
    """A server with one queue and one agent; ``tell`` hears every report. Sweeps are asked for at the real server."""

    def __init__(self, base_url: str, api_key: str, handover: ItemHandover, tell: Callable[[Report], None]) -> None:
        super().__init__(base_url, api_key)
        self._handover = handover
        self._tell = tell

    def capabilities(self) -> Capabilities:
        """It can do what our own server can for an agent."""
        return _CALLERS

    def queues(self, entity: str, project: str = QUEUE_PROJECT) -> list[Queue]:  # noqa: ARG002 - of whomever
        """The one queue."""
        return [Queue(CALLER, CALLER)]

    def is_team(self, entity: str) -> bool:  # noqa: ARG002
        """No matter: nobody but the caller can push to the queue."""
        return False

    def create_agent(
        self,
        entity: str,  # noqa: ARG002 - there is one queue, and one agent
        queue_ids: Sequence[str],  # noqa: ARG002
        hostname: str,  # noqa: ARG002
        config: Mapping[str, Any],  # noqa: ARG002
        version: str,  # noqa: ARG002
        project: str = QUEUE_PROJECT,  # noqa: ARG002
    ) -> str:
        """Return the id of the one agent."""
        return CALLER

    def agent(self, agent_id: str) -> Agent:
        """The one agent."""
        return Agent(agent_id, CALLER, queue_ids=(CALLER,))

    def update_agent(self, agent_id: str, status: str) -> None:
        """Nobody asks how it does."""

    def resume_agent(self, agent_id: str, known_item_ids: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing is leased: whoever launches hands over again what is not over."""
        return ()

    def watch(self, agent_id: str, status: str, seen_stops: Sequence[str], wait_seconds: float) -> AgentCommands:  # noqa: ARG002
        """Wait for the caller's orders."""
        return self._handover.orders(seen_stops, wait_seconds)

    def claim(self, agent_id: str, claim_id: str, max_items: int, max_schedulers: int, wait_seconds: float) -> Claim:  # noqa: ARG002
        """Wait for what is launched."""
        return Claim(self._handover.take(max_items, max_schedulers, wait_seconds))

    def ack_many(self, agent_id: str, acks: Sequence[Ack]) -> dict[str, bool]:  # noqa: ARG002
        """Nobody else could have taken them."""
        return {ack.item_id: True for ack in acks}

    def report_many(self, agent_id: str, reports: Sequence[Report]) -> dict[str, bool]:  # noqa: ARG002
        """Pass reports on to the caller."""
        for report in reports:
            if report.status in OVER:
                self._handover.note_end(report.item_id)
            self._tell(report)
        return {report.item_id: True for report in reports}

    def return_items(self, agent_id: str, item_ids: Sequence[str]) -> None:
        """What came too late is nobody's: the agent leaves, and so does the caller."""

    def warn_item(self, item_id: str, message: str, stage: str) -> bool:  # noqa: ARG002
        """The agent's log has it."""
        return True
