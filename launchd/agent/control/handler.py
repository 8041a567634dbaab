"""Answers the requests on the control socket: behind `launchd status`, `stop`, `drain`, `undrain`, `detach` and
`reload`.

Main thread only.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from launchd.agent.configuration import Configuration
from launchd.agent.deliveries import summary
from launchd.agent.job_controller import JobController
from launchd.agent.job_table import JobTable
from launchd.agent.journal import Journal
from launchd.agent.measures import state_families
from launchd.agent.mode import AgentMode
from launchd.agent.outbox import Outbox
from launchd.agent.outbox_rows import Delivery
from launchd.agent.status import AgentState, describe_job, snapshot
from launchd.agent.worker_pool.pool import WorkerPool
from launchd.client.queue_server import StopRequest

log = logging.getLogger(__name__)


class ControlHandler:
    """Turns a request into an answer: ``{"ok": true, ...}`` or ``{"ok": false, "error": SENTENCE}``."""

    def __init__(
        self,
        controller: JobController,
        table: JobTable,
        pool: WorkerPool,
        outbox: Outbox,
        journal: Journal,
        mode: AgentMode,
        configuration: Configuration,
        state: Callable[[], AgentState],
    ) -> None:
        """``state`` returns what the supervisor knows beside its jobs."""
        self._controller = controller
        self._table = table
        self._pool = pool
        self._outbox = outbox
        self._journal = journal
        self._configuration = configuration
        self._state = state
        #: The requests that have nothing beside their name.
        self._plain: dict[str, Callable[[], dict[str, Any]]] = {
            "status": self._status,
            "metrics": self._metrics,
            "outbox": self._list_outbox,
            "drain": lambda: self._change_mode(mode.drain),
            "undrain": lambda: self._change_mode(mode.undrain),
            "detach": lambda: self._change_mode(mode.detach),
            "reload": self._reload,
        }

        #: Those that name dead letters, or all of them.
        self._letters: dict[str, Callable[[list[int] | None], dict[str, Any]]] = {
            "retry": self._retry,
            "drop": self._drop,
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to ``request``; an error in making it ends the request, not the agent."""
        try:
            return self._answer(request)
        except Exception as error:
            log.exception("A request on the control socket raised an unexpected error.", extra={"request": request})
            return _refusal(f"The agent met an unexpected error: {type(error).__name__}: {error}. Its log has more.")

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request:
            case {"command": str(name)} if name in self._plain:
                return self._plain[name]()
            case {"command": "job", "item": str(item)}:
                return self._job(item)
            case {"command": "stop", "item": str(item)}:
                return self._stop(item, str(request.get("reason") or "stopped from the command line"))
            case {"command": "return_gpu", "gpu": str(word)}:
                return self._return_gpu(word)
            case {"command": "retry" | "drop" as name, "ids": None}:
                return self._letters[name](None)
            case {"command": "retry" | "drop" as name, "ids": list(ids)} if all(type(one) is int for one in ids):
                return self._letters[name](ids)
            case _:
                return _refusal(f"The agent does not know the request {request.get('command')!r}.")

    def _status(self) -> dict[str, Any]:
        return {"ok": True, "status": self._snapshot()}

    def _snapshot(self) -> dict[str, Any]:
        return snapshot(self._state(), self._controller, self._table, self._pool, self._outbox, self._journal)

    def _metrics(self) -> dict[str, Any]:
        families = [*state_families(self._snapshot(), self._table), *self._controller.measures.families()]
        return {"ok": True, "metrics": msgspec.to_builtins(families)}

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
        # The answer follows the commit: a stop that was promised is carried out also by the next agent process.
        self._journal.request_commit()
        return {"ok": True, "item": job.item_id, "must_be_kept": True}

    def _return_gpu(self, word: str) -> dict[str, Any]:
        labels = self._controller.grants.return_to_use(word)
        if labels is None:
            return _refusal(f"This agent gives out no GPU {word}.")
        self._journal.request_commit()
        return {"ok": True, "returned": labels}

    def _list_outbox(self) -> dict[str, Any]:
        now = time.time()
        dead = [
            {
                **_shown(letter.delivery, now),
                "reason": letter.reason,
                "refused_seconds": max(0.0, now - letter.refused_at),
            }
            for letter in self._outbox.refused_deliveries()
        ]
        return {"ok": True, "waiting": [_shown(one, now) for one in self._outbox.undelivered()], "dead": dead}

    def _retry(self, ids: list[int] | None) -> dict[str, Any]:
        return {"ok": True, "retried": self._outbox.retry(ids)}

    def _drop(self, ids: list[int] | None) -> dict[str, Any]:
        dropped = self._outbox.drop(ids)
        for delivery in dropped:
            # The log is all that says so from now on.
            said = {"item": delivery.item_id, "kind": delivery.kind, "says": summary(delivery.kind, delivery.body)}
            log.warning("What the queue server does not take was dropped on request.", extra=said)
        return {"ok": True, "dropped": len(dropped)}

    def _change_mode(self, change: Callable[[], str | None]) -> dict[str, Any]:
        problem = change()
        return {"ok": True, "jobs": len(self._table)} if problem is None else _refusal(problem)

    def _reload(self) -> dict[str, Any]:
        problem = self._configuration.reload()
        return {"ok": True} if problem is None else _refusal(problem)


def completed(answer: dict[str, Any], commit_error: str | None) -> dict[str, Any]:
    """Return ``answer`` as it is to be given after a commit, which failed because of ``commit_error``, if any."""
    answer = dict(answer)
    if answer.pop("must_be_kept", False) and commit_error is not None:
        answer["warning"] = (
            f"The job is being stopped, but that cannot be kept: {commit_error} If the agent is restarted before the"
            " job has ended, stop it again."
        )
    return answer


def _shown(delivery: Delivery, now: float) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "item_id": delivery.item_id,
        "kind": delivery.kind,
        "created_seconds": max(0.0, now - delivery.created_at),
        "summary": summary(delivery.kind, delivery.body),
    }


def _refusal(sentence: str) -> dict[str, Any]:
    return {"ok": False, "error": sentence}
