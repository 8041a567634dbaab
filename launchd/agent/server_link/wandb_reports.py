"""Outcomes of items at a W&B server.

The server learns of a success, and of most failures, from the run of the job. The agent reports what a run cannot: that
the job failed before there was a run, or that its process ended and no run had begun. Runs on the reporter's thread.
"""

import logging
import math
from pathlib import Path

from launchd.agent.backoff import Backoff
from launchd.agent.deliveries import JobEnd, decode_outcome
from launchd.agent.failure_log import error_text
from launchd.agent.outbox_rows import Delivery
from launchd.agent.server_link.agent_run import AgentRun
from launchd.agent.server_link.protocol import DeliveryAttempt, LinkContext
from launchd.client.errors import QueueServerError, Refused
from launchd.client.queue_server import QueueServer, Report

#: The state of a run that was made for an item and has not begun.
RUN_PENDING = "pending"

#: W&B's sentences about a job whose run never began: after exit code 0, and after any other end.
NO_INIT = "The submitted job exited successfully but failed to call wandb.init"
NOT_STARTED = "The submitted run was not successfully started"

#: Pause before the second look at a run that has not begun; it doubles with each further look, as at W&B's agent.
FIRST_RETRY_SECONDS = 1.0

#: How often the upload of a log is tried before the failure is reported without it.
LOG_TRIES = 3

#: The longest pause between those tries, because the failure waits for them.
LOG_PAUSE_SECONDS = 5.0

log = logging.getLogger(__name__)


class OutcomeReports:
    """Reports outcomes to one server."""

    def __init__(self, server: QueueServer, agent_run: AgentRun, context: LinkContext) -> None:
        self._server = server
        self._registered = context.registered
        self._caller = context.caller
        self._agent_run = agent_run
        self._secrets = context.settings.secrets
        self._retry_delays = retry_delays(context.settings.init_grace_seconds)
        capabilities = context.registered.capabilities
        self._can_fail_items = capabilities.fail_item
        self._takes_logs = bool(context.registered.agent_name) and capabilities.run_files
        agent_run.note_agent(context.registered)

    def report(self, attempt: DeliveryAttempt) -> float | None:
        """Report an outcome; returns ``None``, or the seconds after which to look at its run again.

        Raises:
            Refused: the server does not take the outcome.
            Stopped: the thread was told to end meanwhile.
        """
        outcome = decode_outcome(attempt.delivery.body)
        report, end = outcome.report, outcome.end
        pause = None
        if end is not None and end.ran and end.entity == self._registered.entity:
            pause = self._fail_unless_started(attempt, report, end)
        elif _is_unknown_to_server(report, end):
            self._fail(attempt.delivery, report.message or "The job failed.", report.stage or "agent", end)
        if pause is None and end is not None:
            self._cancel_sweep_of(report, end)
        return pause

    def _fail_unless_started(self, attempt: DeliveryAttempt, report: Report, end: JobEnd) -> float | None:
        """Fail the item whose job ended and whose run never began, by W&B's rule and schedule."""
        try:
            state = self._caller.retry_refusals(lambda: self._server.run_state(end.entity, end.project, end.run_id))
        except Refused as error:
            if report.status != "failed":
                raise Refused(f"Whether run {end.run_id} has begun could not be looked up: {error}") from error
            log.warning("The queue server refuses the state of a run.", extra={"run": end.run_id, "why": str(error)})
            self._fail(attempt.delivery, report.message or "The job failed.", report.stage or "run", end)
            return None
        if state not in (None, RUN_PENDING):
            return None
        if attempt.retries < len(self._retry_delays):
            return self._retry_delays[attempt.retries]
        self._fail(attempt.delivery, _not_started(report), "run", end)
        return None

    def _fail(self, delivery: Delivery, message: str, stage: str, end: JobEnd | None) -> None:
        paths = self._upload_log(delivery, message, end) if end else None
        taken = self._caller.retry_refusals(lambda: self._server.fail_item(delivery.item_id, message, stage, paths))
        if not taken and self._can_fail_items:
            raise Refused(f"The queue server did not take that item {delivery.item_id} failed: {message}")

    def _upload_log(self, delivery: Delivery, message: str, end: JobEnd) -> tuple[str, ...] | None:
        """Return the paths of the failure's log on the server, or ``None`` where it is not there."""
        if not self._takes_logs:
            return None
        path = f"{delivery.item_id}/error/error.log"
        content = error_text(message, Path(end.directory), end.ran, self._secrets)
        for _ in range(LOG_TRIES):
            try:
                self._agent_run.upload_log(self._registered.entity, delivery.agent_id, path, content)
            except QueueServerError as error:
                log.warning(
                    "The log of a failed item could not be uploaded.",
                    extra={"item": delivery.item_id, "why": str(error)},
                )
                self._caller.wait(min(self._caller.pause_after(error), LOG_PAUSE_SECONDS))
            else:
                return (path,)
        return None

    def _cancel_sweep_of(self, report: Report, end: JobEnd) -> None:
        """Cancel the sweep whose scheduler failed, as W&B's agent does: nothing else runs that sweep."""
        if end.is_scheduler and report.status == "failed":
            self._caller.retry_refusals(lambda: self._server.cancel_sweep(end.entity, end.project, end.run_id))


def retry_delays(seconds: float) -> tuple[float, ...]:
    """Return the pauses between looks at a run, doubling, ``seconds`` long in all."""
    backoff = Backoff(FIRST_RETRY_SECONDS, math.inf)
    delays: list[float] = []
    left = seconds
    while left > 0:
        delays.append(min(backoff.next_pause(), left))
        left -= delays[-1]
    return tuple(delays)


def _is_unknown_to_server(report: Report, end: JobEnd | None) -> bool:
    """Whether no run shows the outcome: that of a job that failed, or that was stopped before it had a process."""
    return report.status == "failed" or (report.status == "stopped" and end is not None and not end.ran)


def _not_started(report: Report) -> str:
    sentence = NO_INIT if report.status == "finished" else NOT_STARTED
    return f"{sentence}: {report.message}" if report.message else f"{sentence}."
