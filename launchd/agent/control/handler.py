"""Answers the requests on the control socket: behind `launchd status`, `stop`, `drain`, `detach` and `reload`.

Main thread only.
"""

import logging
from typing import Any, Protocol

from launchd.agent.job_controller import JobController
from launchd.agent.job_table import JobTable
from launchd.agent.journal import Journal
from launchd.agent.outbox import Outbox
from launchd.agent.status import AgentState, describe_job, snapshot
from launchd.agent.worker_pool.pool import WorkerPool
from launchd.client.queue_server import StopRequest

log = logging.getLogger(__name__)


class AgentControl(Protocol):
    """What the control socket can ask of the supervisor itself."""

    def state(self) -> AgentState:
        """Return what the supervisor knows beside its jobs."""
        ...

    def drain(self) -> None:
        """Claim nothing more, and leave once all jobs are over."""
        ...

    def detach(self) -> None:
        """Leave; jobs run on."""
        ...

    def reload(self) -> str | None:
        """Return why the configuration stays as it was, or ``None``."""
        ...


class ControlHandler:
    """Turns a request into an answer: ``{"ok": true, ...}`` or ``{"ok": false, "error": SENTENCE}``."""

    def __init__(
        self,
        controller: JobController,
        table: JobTable,
        pool: WorkerPool,
        outbox: Outbox,
        journal: Journal,
        supervisor: AgentControl,
    ) -> None:
        self._controller = controller
        self._table = table
        self._pool = pool
        self._outbox = outbox
        self._journal = journal
        self._supervisor = supervisor

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to ``request``; an error in making it ends the request, not the agent."""
        try:
            return self._answer(request)
        except Exception as error:
            log.exception("A request on the control socket raised an unexpected error.", extra={"request": request})
            return _refusal(f"The agent met an unexpected error: {type(error).__name__}: {error}. Its log has more.")

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request:
            case {"command": "status"}:
                return self._status()
            case {"command": "job", "item": str(item)}:
                return self._job(item)
            case {"command": "stop", "item": str(item)}:
                return self._stop(item, str(request.get("reason") or "stopped from the command line"))
            case {"command": "drain" | "detach" | "reload" as order}:
                return self._agent_command(order)
            case _:
                return _refusal(f"The agent does not know the request {request.get('command')!r}.")

    def _status(self) -> dict[str, Any]:
        status = snapshot(
            self._supervisor.state(), self._controller, self._table, self._pool, self._outbox, self._journal
        )
        return {"ok": True, "status": status}

    def _job(self, item: str) -> dict[str, Any]:
        job = self._table.find(item) or self._journal.find(item)
        if job is None:
            return _refusal(f"This agent knows no job {item}.")
        return {"ok": True, "job": describe_job(job, self._controller.context, self._pool)}

    def _stop(self, item: str, reason: str) -> dict[str, Any]:
        job = self._table.find(item)
        if job is None:
            return _refusal(f"This agent has no active job {item}.")
        self._controller.stop(StopRequest(job.item_id, reason))
        return {"ok": True, "item": job.item_id}

    def _agent_command(self, order: str) -> dict[str, Any]:
        match order:
            case "drain":
                self._supervisor.drain()
            case "detach":
                self._supervisor.detach()
            case _:
                problem = self._supervisor.reload()
                return {"ok": True} if problem is None else _refusal(problem)
        return {"ok": True, "jobs": len(self._table)}


def _refusal(sentence: str) -> dict[str, Any]:
    return {"ok": False, "error": sentence}
