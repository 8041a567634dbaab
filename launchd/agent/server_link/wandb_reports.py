"""What a W&B server is told of its items, in the operations that every such server has.

It learns of a success, and of most failures, from the run itself; we say what a run cannot say: that the job failed
before there was a run, or that its process ended and no run had begun. Warnings and requeued runs go this way at our
own server, too. Runs on the reporter's thread.
"""

import json
import logging
import time
from pathlib import Path
from typing import Any

import msgspec

from launchd.agent.events import Registered
from launchd.agent.failure_log import error_text
from launchd.agent.journal import Delivery
from launchd.agent.server_link.agent_run import AgentRun
from launchd.agent.server_link.retry import REFUSAL_ATTEMPTS, RetryingCaller
from launchd.client.errors import QueueServerError, Refused
from launchd.client.models import report_decoder
from launchd.client.queue_server import Item, QueueServer, Report

#: The state of a run that has been made for an item, and that nobody has started yet.
RUN_PENDING = "pending"

#: W&B's words for a job whose run never began: after exit code 0, and after anything else.
NO_INIT = "The submitted job exited successfully but failed to call wandb.init"
NOT_STARTED = "The submitted run was not successfully started"

#: Pause before the second look at a run that has not begun; each further one is twice as long, as for W&B's agent.
FIRST_RETRY_SECONDS = 1.0

#: How often a log is offered to the server before the failure is told without it.
LOG_TRIES = 3

#: The longest pause between those tries: the failure itself waits for them.
LOG_PAUSE_SECONDS = 5.0

#: Pause before the next look whether an item of the queue is the run that we may have put there.
REQUEUE_RETRY_SECONDS = 10.0

#: How many items of a queue are looked through.
QUEUE_LENGTH = 1000

log = logging.getLogger(__name__)


class JobEnd(msgspec.Struct, frozen=True):
    """What is to be known of a job that is over, beside the report: the run it was to become, and where its logs are.

    ``ran``: whether it had a process, or the like, that ended.
    """

    entity: str
    project: str
    run_id: str
    directory: str
    ran: bool
    is_scheduler: bool = False


class _Outcome(msgspec.Struct, frozen=True):
    """The part of an outcome's body that our own server is not told."""

    ending: JobEnd | None = None


_outcome_decoder = msgspec.json.Decoder(_Outcome)


class WandbReporter:
    """Tells one server. ``secrets`` appear in no log that is sent; ``init_grace_seconds`` is how long a run may take
    to appear after its job's end."""

    def __init__(
        self,
        server: QueueServer,
        registered: Registered,
        caller: RetryingCaller,
        agent_run: AgentRun,
        *,
        secrets: tuple[str, ...],
        init_grace_seconds: float,
    ) -> None:
        self._server = server
        self._registered = registered
        self._caller = caller
        self._agent_run = agent_run
        self._secrets = secrets
        self._retry_delays = retry_delays(init_grace_seconds)
        self._started_at = time.time()
        self._queue_items_before: dict[int, frozenset[str]] = {}

    def deliver(self, delivery: Delivery, looks: int) -> float | None:
        """Tell the server of ``delivery``; returns ``None`` when it knows, or after how many seconds to call again.

        ``looks`` counts the calls that came before.

        Raises:
            Refused: the server will never have it.
            Ended: the thread was told to end meanwhile.
        """
        match delivery.kind:
            case "outcome":
                return self._deliver_outcome(delivery, looks)
            case "warning":
                self._warn(delivery)
                return None
            case _:
                return self._requeue(delivery, looks, **json.loads(delivery.body))

    # -- outcomes

    def _deliver_outcome(self, delivery: Delivery, looks: int) -> float | None:
        report = report_decoder.decode(delivery.body)
        ending = _outcome_decoder.decode(delivery.body).ending
        if ending is not None and ending.ran and ending.entity == self._registered.entity:
            pause = self._fail_unless_started(delivery, report, ending, looks)
        else:
            pause = None
            if _is_to_be_failed(report, ending):
                self._fail(delivery, report.message or "The job failed.", report.stage or "agent", ending)
        if pause is None and ending is not None:
            self._cancel_sweep_of(report, ending)
        return pause

    def _fail_unless_started(self, delivery: Delivery, report: Report, ending: JobEnd, looks: int) -> float | None:
        """Fail the item whose job ended without a run having begun: W&B's rule, and W&B's schedule."""
        try:
            state = self._caller.retry_refusals(
                lambda: self._server.run_state(ending.entity, ending.project, ending.run_id)
            )
        except Refused as error:
            log.warning("The state of a run is not to be had.", extra={"run": ending.run_id, "why": str(error)})
            if report.status == "failed":
                self._fail(delivery, _not_started(report), "run", ending)
            return None
        if state not in (None, RUN_PENDING):
            return None
        if looks < len(self._retry_delays):
            return self._retry_delays[looks]
        self._fail(delivery, _not_started(report), "run", ending)
        return None

    def _fail(self, delivery: Delivery, message: str, stage: str, ending: JobEnd | None) -> None:
        paths = self._upload_log(delivery, message, ending) if ending else None
        taken = self._caller.retry_refusals(lambda: self._server.fail_item(delivery.item_id, message, stage, paths))
        if not taken and self._registered.capabilities.fail_item:
            raise Refused(f"Item {delivery.item_id} is no longer ours to fail.")

    def _upload_log(self, delivery: Delivery, message: str, ending: JobEnd) -> tuple[str, ...] | None:
        """Return the paths under which the failure's log lies on the server, or ``None`` where it does not."""
        if not self._agent_run.is_possible:
            return None
        path = f"{delivery.item_id}/error/error.log"
        content = error_text(message, Path(ending.directory), ending.ran, self._secrets)
        for _ in range(LOG_TRIES):
            try:
                self._agent_run.upload_log(delivery.agent_id, path, content)
            except QueueServerError as error:
                log.warning(
                    "The log of a failed item is not taken.", extra={"item": delivery.item_id, "why": str(error)}
                )
                self._caller.wait(min(self._caller.pause_after(error), LOG_PAUSE_SECONDS))
            else:
                return (path,)
        return None

    def _cancel_sweep_of(self, report: Report, ending: JobEnd) -> None:
        """Cancel the sweep whose scheduler failed, as W&B's agent does: nobody would ever run it."""
        if ending.is_scheduler and report.status == "failed":
            self._caller.retry_refusals(lambda: self._server.cancel_sweep(ending.entity, ending.project, ending.run_id))

    # -- warnings and requeued runs

    def _warn(self, delivery: Delivery) -> None:
        body = json.loads(delivery.body)
        self._caller.retry_refusals(lambda: self._server.warn_item(delivery.item_id, body["message"], body["stage"]))

    def _requeue(
        self, delivery: Delivery, looks: int, entity: str, queue: str, run_spec: dict[str, Any]
    ) -> float | None:
        if self._registered.capabilities.push_key:
            key = f"after-{delivery.item_id}"
            self._caller.retry_refusals(lambda: self._server.push(entity, queue, run_spec, key=key))
            return None
        items = self._caller.retry_refusals(lambda: self._server.queue_items(entity, queue, QUEUE_LENGTH))
        if self._may_have_been_pushed(delivery):
            if _is_among(items, run_spec):
                return None
            if self._has_unidentified_item(delivery, items):
                return REQUEUE_RETRY_SECONDS
        self._queue_items_before[delivery.id] = frozenset(item.id for item in items)
        try:
            self._caller.call(lambda: self._server.push(entity, queue, run_spec))
        except Refused as error:
            if looks >= REFUSAL_ATTEMPTS - 1:
                raise
            return self._caller.pause_after(error)
        except QueueServerError as error:
            # A push cannot be repeated blindly: one that was heard and not answered would be a second run.
            return self._caller.pause_after(error)
        return None

    def _may_have_been_pushed(self, delivery: Delivery) -> bool:
        return delivery.id in self._queue_items_before or delivery.created_at < self._started_at

    def _has_unidentified_item(self, delivery: Delivery, items: list[Item]) -> bool:
        """Whether there is a new item of which nobody can tell yet whose run it will be: W&B shows no run spec."""
        before = self._queue_items_before.get(delivery.id, frozenset())
        return any(
            item.id not in before and item.associated_run_id is None and item.state in ("PENDING", "LEASED")
            for item in items
        )


def retry_delays(seconds: float) -> tuple[float, ...]:
    """Return the pauses between looks at a run, doubling, ``seconds`` long in all."""
    pauses: list[float] = []
    pause, left = FIRST_RETRY_SECONDS, seconds
    while left > 0:
        pauses.append(min(pause, left))
        left -= pause
        pause *= 2
    return tuple(pauses)


def _is_to_be_failed(report: Report, ending: JobEnd | None) -> bool:
    """Whether nobody else tells the server: a job that failed, or was stopped before it had a process, has no run."""
    return report.status == "failed" or (report.status == "stopped" and ending is not None and not ending.ran)


def _not_started(report: Report) -> str:
    said = NO_INIT if report.status == "finished" else NOT_STARTED
    return f"{said}: {report.message}" if report.message else f"{said}."


def _is_among(items: list[Item], run_spec: dict[str, Any]) -> bool:
    """Whether the requeued run is one of ``items``: its run has had more of them than the times it was put back."""
    same_run = sum(item.associated_run_id == run_spec.get("run_id") for item in items)
    return same_run > int(run_spec.get("_resume_count") or 0)
