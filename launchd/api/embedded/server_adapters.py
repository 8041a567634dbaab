"""Queue servers for the agent of a program: clients that also hand out the items that the program sends.

`ProgramQueue` acts as a server with one queue, of the program's items alone; `StandbyServer` is the client of the real
server, whose queues are served once the program asks for it. All other requests go to the real server. The supervisor
claims, acknowledges and reports through them as it does with any server.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ipc.run_spec import SCHEDULER_URI
from launchd.api.item_status import TERMINAL_STATUSES
from launchd.client.base import CURRENT_WANDB
from launchd.client.queue_server import (
    QUEUE_PROJECT,
    Ack,
    Agent,
    AgentCommands,
    AgentGpus,
    AgentIdentity,
    Capabilities,
    Claim,
    ClaimedItem,
    HeldItem,
    ItemAnswer,
    ItemResult,
    Queue,
    QueueServer,
    Report,
    Resumed,
    StopRequest,
)

#: Name and id of the program's one queue, and of the one agent that serves it.
PROGRAM = "caller"

#: While queues are served, a claim waits no longer at the server, since the program's items wait for its response.
LONGEST_CLAIM_SECONDS = 5.0

#: The launchd protocol, without operations that store anything.
_CAPABILITIES = msgspec.structs.replace(
    CURRENT_WANDB, launchd_protocol=True, run_files=False, artifact_memberships=False, is_private=True
)


class ProgramRequests:
    """Requests of the program: items to run and to stop, the start of claims, the end. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: list[ClaimedItem] = []
        self._stops: dict[str, str] = {}
        #: The items that may be stopped. Not those that may not be: they would only ever grow.
        self._stoppable: dict[str, None] = {}
        self._is_shutting_down = False
        self.is_claiming = False

    def add(self, item: ClaimedItem) -> None:
        """Add an item to run."""
        with self._changed:
            self._items.append(item)
            self._stoppable[item.item_id] = None
            self._changed.notify_all()

    def stop(self, item_id: str, reason: str) -> None:
        """Request the stop of a job, also of one that is not claimed: an earlier process may have started it."""
        with self._changed:
            if item_id in self._stoppable:
                self._stops[item_id] = reason
                self._changed.notify_all()

    def stop_all(self, reason: str) -> None:
        """Request the stop of all jobs."""
        with self._changed:
            self._stops.update(dict.fromkeys(self._stoppable, reason))
            self._changed.notify_all()

    def forget(self, item_id: str) -> None:
        """Forget an item, which the program does not stop any more."""
        with self._changed:
            self._stoppable.pop(item_id, None)
            self._stops.pop(item_id, None)

    def start_claiming(self) -> None:
        """Have the agent serve its queues."""
        with self._changed:
            self.is_claiming = True
            self._changed.notify_all()

    def shut_down(self) -> None:
        """Have the agent end once all its jobs are over."""
        with self._changed:
            self._is_shutting_down = True
            self._changed.notify_all()

    def take_items(self, jobs: int, schedulers: int, seconds: float) -> tuple[ClaimedItem, ...]:
        """Remove and return at most ``jobs`` and ``schedulers`` items; waits at most ``seconds`` for the first."""
        with self._changed:
            self._changed.wait_for(lambda: self._select(jobs, schedulers) or self.is_claiming, seconds)
            selected = self._select(jobs, schedulers)
            self._items = [item for item in self._items if item not in selected]
        return tuple(selected)

    def wait_commands(self, seen: Sequence[str], seconds: float) -> AgentCommands:
        """Return the requests to stop that are not in ``seen``; waits at most ``seconds`` for one."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while (
                not (self._is_shutting_down or self._stop_requests(seen)) and (left := deadline - time.monotonic()) > 0
            ):
                self._changed.wait(left)
            return AgentCommands(self._is_shutting_down, self._stop_requests(seen))

    def _stop_requests(self, seen: Sequence[str]) -> tuple[StopRequest, ...]:
        return tuple(StopRequest(item_id, reason) for item_id, reason in self._stops.items() if item_id not in seen)

    def _select(self, jobs: int, schedulers: int) -> list[ClaimedItem]:
        free = {False: jobs, True: schedulers}
        selected = []
        for item in self._items:
            is_scheduler = item.run_spec.get("uri") == SCHEDULER_URI
            if free[is_scheduler] > 0:
                free[is_scheduler] -= 1
                selected.append(item)
        return selected


class StandbyServer(QueueServer):
    """The client of the real server, which claims its items only after the program's request."""

    def __init__(self, base_url: str, api_key: str, requests: ProgramRequests) -> None:
        super().__init__(base_url, api_key)
        self._requests = requests

    def claim(
        self,
        agent_id: str,
        incarnation: str,
        claim_id: str,
        max_items: int,
        max_schedulers: int,
        wait_seconds: float,
        gpus: AgentGpus | None = None,
    ) -> Claim:
        """Return items of the program; without any, claim at the server once the program has asked for it."""
        items = self._take_items(max_items, max_schedulers, wait_seconds)
        if items or not self._requests.is_claiming:
            return Claim(items)
        longest = min(wait_seconds, LONGEST_CLAIM_SECONDS)
        return super().claim(agent_id, incarnation, claim_id, max_items, max_schedulers, longest, gpus)

    def pop(self, entity: str, queue: str, agent_id: str | None, project: str = QUEUE_PROJECT) -> ClaimedItem | None:
        """Return one item as :meth:`claim` does, from W&B's server."""
        items = self._take_items(1, 0, 0.0) or self._take_items(0, 1, 0.0)
        if items:
            return items[0]
        return super().pop(entity, queue, agent_id, project) if self._requests.is_claiming else None

    def _take_items(self, jobs: int, schedulers: int, seconds: float) -> tuple[ClaimedItem, ...]:
        items = self._requests.take_items(jobs, schedulers, seconds)
        for item in items:
            self._requests.forget(item.item_id)  # Its stop is the real server's.
        return items


class ProgramQueue(QueueServer):
    """A server with one queue and one agent; ``on_report`` gets every report. Sweeps are read from the real server."""

    def __init__(
        self, base_url: str, api_key: str, requests: ProgramRequests, on_report: Callable[[Report], None]
    ) -> None:
        super().__init__(base_url, api_key)
        self._requests = requests
        self._on_report = on_report

    def capabilities(self) -> Capabilities:
        """Return the launchd protocol's operations for agents."""
        return _CAPABILITIES

    def queues(self, entity: str, project: str = QUEUE_PROJECT) -> list[Queue]:  # noqa: ARG002 - there is one queue
        """Return the one queue."""
        return [Queue(PROGRAM, PROGRAM)]

    def is_team(self, entity: str) -> bool:  # noqa: ARG002
        """Return false: only the program can put items into the queue."""
        return False

    def create_agent(
        self,
        entity: str,  # noqa: ARG002 - there is one queue, and one agent
        queue_ids: Sequence[str],  # noqa: ARG002
        hostname: str,  # noqa: ARG002
        config: Mapping[str, Any],  # noqa: ARG002
        version: str,  # noqa: ARG002
        project: str = QUEUE_PROJECT,  # noqa: ARG002
        identity: AgentIdentity | None = None,  # noqa: ARG002
    ) -> str:
        """Return the id of the one agent."""
        return PROGRAM

    def agent(self, agent_id: str) -> Agent:
        """Return the one agent."""
        return Agent(agent_id, PROGRAM, queue_ids=(PROGRAM,))

    def update_agent(self, agent_id: str, status: str, incarnation: str | None = None) -> None:
        """Do nothing: the status is not shown anywhere."""

    def resume_agent(
        self,
        agent_id: str,  # noqa: ARG002
        identity: AgentIdentity,  # noqa: ARG002
        held: Sequence[HeldItem],
        previous_agent_ids: Sequence[str] = (),  # noqa: ARG002
    ) -> Resumed:
        """Return that the agent has all it holds: nothing is leased, and the program sends unended items again."""
        return Resumed(results=tuple(_taken(item.item_id) for item in held))

    def watch(
        self,
        agent_id: str,  # noqa: ARG002
        status: str,  # noqa: ARG002
        seen_stops: Sequence[str],
        wait_seconds: float,
        incarnation: str,  # noqa: ARG002
        held: Sequence[HeldItem],  # noqa: ARG002
        seen_outputs: Sequence[str] = (),  # noqa: ARG002
    ) -> AgentCommands:
        """Wait for requests of the program to stop a job or to end."""
        return self._requests.wait_commands(seen_stops, wait_seconds)

    def claim(
        self,
        agent_id: str,  # noqa: ARG002
        incarnation: str,  # noqa: ARG002
        claim_id: str,  # noqa: ARG002
        max_items: int,
        max_schedulers: int,
        wait_seconds: float,
        gpus: AgentGpus | None = None,  # noqa: ARG002 - what does not fit waits on the host
    ) -> Claim:
        """Wait for items of the program."""
        return Claim(self._requests.take_items(max_items, max_schedulers, wait_seconds))

    def ack_many(self, agent_id: str, acks: Sequence[Ack]) -> dict[str, ItemResult]:  # noqa: ARG002
        """Take all items: there is no other agent."""
        return {ack.item_id: _taken(ack.item_id) for ack in acks}

    def report_many(self, agent_id: str, reports: Sequence[Report]) -> dict[str, ItemResult]:  # noqa: ARG002
        """Pass reports on to the program."""
        for report in reports:
            if report.status in TERMINAL_STATUSES:
                self._requests.forget(report.item_id)
            self._on_report(report)
        return {report.item_id: _taken(report.item_id) for report in reports}

    def return_items(self, agent_id: str, items: Sequence[ClaimedItem]) -> None:
        """Do nothing: the agent ends, and the program too."""

    def warn_item(self, item_id: str, message: str, stage: str) -> bool:  # noqa: ARG002
        """Return true: the agent's log has the warning."""
        return True


def _taken(item_id: str) -> ItemResult:
    return ItemResult(item_id, ItemAnswer.TAKEN)
