"""Decides what becomes of a job whose worker died. Main thread only.

Before anything of it exists outside it starts over, a few times; what may exist is adopted by another worker, the later
the more were lost in a row, and is *unknown* where too many were.
"""

import logging
from collections.abc import Callable

import msgspec

from ipc.errors import ErrorReport
from ipc.exits import WorkerExit, describe
from ipc.handles import ExitResult
from ipc.job_files import WORKER_LOG_FILE
from ipc.states import JobState
from launchd.agent.clock import Clock
from launchd.agent.job_ends import JobEnds
from launchd.agent.job_record import JobRecord, fail, finish, restart, transition
from launchd.agent.job_table import ActiveJob
from launchd.agent.ports import JobWorker
from launchd.agent.record_writer import RecordWriter, log_fields
from launchd.agent.worker_assignment import LOSSES_TO_SET_ASIDE, WorkerAssignment

#: A worker that lived this long, in seconds, did not die of what its predecessor died of.
HEALTHY_WORKER_SECONDS = 60.0

log = logging.getLogger(__name__)


class WorkerLosses:
    """The losses of workers that had jobs. ``publish`` tells the queue server the state of a job."""

    def __init__(
        self,
        records: RecordWriter,
        assignment: WorkerAssignment,
        ends: JobEnds,
        publish: Callable[[JobRecord], None],
        clock: Clock,
    ) -> None:
        self._records = records
        self._assignment = assignment
        self._ends = ends
        self._publish = publish
        self._clock = clock

    def on_lost(self, active: ActiveJob, worker: JobWorker, exit_code: int) -> None:
        """Decide what becomes of a job whose worker ended with ``exit_code`` and without an outcome that counts."""
        self._ends.counters["worker_losses"] += 1
        job = active.job
        how = describe(exit_code) if worker.kill_reason is None else f"was killed because {worker.kill_reason}"
        log.warning("A job lost its worker.", extra=log_fields(job) | {"pid": worker.pid, "how": how})
        timeout_error, active.timeout_error = active.timeout_error, None
        # The death of the fork server, and what the host has not to give, is not held against the job.
        is_counted = exit_code not in (WorkerExit.UNKNOWN, WorkerExit.STARVED)
        if job.may_exist_outside:
            self._adopt_or_set_aside(active, how, exit_code)
        elif timeout_error is not None:
            self._ends.finish(fail(job, timeout_error, self._clock.now()))
        elif job.stop_reason is not None:
            self._ends.finish(finish(job, JobState.STOPPED, ExitResult(), self._clock.now()))
        elif is_counted and job.losses + 1 >= self._ends.context.config.launchd.jobs.max_attempts:
            self._ends.finish(fail(job, self._report(job, how), self._clock.now()))
        else:
            again = restart(job, self._clock.now(), f"The worker {how}; the job starts over.")
            self._assignment.reassign(active, msgspec.structs.replace(again, losses=job.losses + is_counted))

    def _adopt_or_set_aside(self, active: ActiveJob, how: str, exit_code: int) -> None:
        if exit_code == WorkerExit.STARVED:
            # The next one, a little later, may get from the host what this one did not.
            return
        losses = active.job.losses if exit_code == WorkerExit.UNKNOWN else self._losses_in_a_row(active)
        job = msgspec.structs.replace(active.job, losses=losses)
        if job.losses >= LOSSES_TO_SET_ASIDE:
            sentence = f"Its workers were lost {job.losses} times in a row, the last one {how}; it is tried again."
            log.error("Whether a job runs is not known.", extra=log_fields(job) | {"why": sentence})
            job = transition(job, JobState.UNKNOWN, self._clock.now(), sentence)
            self._records.after_commit(job.item_id, lambda: self._publish(job), lazy=True)
        self._assignment.reassign(active, job)

    def _losses_in_a_row(self, active: ActiveJob) -> int:
        was_healthy = self._clock.monotonic() - active.assigned_at > HEALTHY_WORKER_SECONDS
        return 1 if was_healthy else active.job.losses + 1

    def _report(self, job: JobRecord, how: str) -> ErrorReport:
        worker_log = f"{self._ends.context.job_directory(job.name)}/{WORKER_LOG_FILE}"
        return ErrorReport(
            "build" if job.state is JobState.BUILDING else "agent",
            "WorkerLost",
            f"The worker {how} while {job.state}, {job.losses + 1} times in a row.",
            f"Its log is {worker_log} on {self._ends.context.hostname}.",
        )


def was_lost(exit_code: int, has_outcome: bool) -> bool:
    """Return whether a worker that ended with ``exit_code`` ended other than it should.

    ``has_outcome``: whether it reported how its job ended. An outcome without exit code 0, and exit code 0 without an
    outcome, are both the loss of a worker.
    """
    if exit_code == WorkerExit.DONE:
        return not has_outcome
    return exit_code not in (WorkerExit.DETACHED, WorkerExit.ORPHANED)
