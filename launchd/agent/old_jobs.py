"""Forgets jobs that are over or were dropped, with what is left of them on this host. Main thread only."""

import gc
import time

from ipc.handles import attempt_names
from launchd.agent.cleanup import Cleanup, OldJob
from launchd.agent.job_controller import JobController
from launchd.agent.job_table import JobTable
from launchd.agent.job_users import numbers_of
from launchd.agent.journal import EndedJob, Journal

#: How many old jobs are forgotten at a time.
FORGET_AT_ONCE = 500

#: How often old entries of the history and jobs that ended too long ago are removed.
TRIM_SECONDS = 3600.0
SECONDS_A_DAY = 86400.0


class OldJobs:
    """The jobs of a journal beyond those that are kept."""

    def __init__(self, journal: Journal, table: JobTable, controller: JobController, cleanup: Cleanup) -> None:
        self._journal = journal
        self._table = table
        self._controller = controller
        self._cleanup = cleanup
        self._trim_at = 0.0

    def clear(self) -> None:
        """Forget the oldest ones, and have their directories and control groups removed."""
        ended = self._journal.ended_before_last(self._controller.context.jobs_to_keep(), FORGET_AT_ONCE)
        ended += self._clear_by_age({job.item_id for job in ended})
        for job in ended:
            self._journal.forget(job.item_id)
        dropped = self._controller.take_dropped()
        self._cleanup.remove(
            [
                *(self._old_job(job.names, job.users) for job in ended),
                *(self._old_job(attempt_names(job.name, job.attempt), numbers_of(job)) for job in dropped),
            ]
        )
        self._sweep_groups()
        # Less for the garbage than for the interpreter's free lists: they grow by some 200 bytes a job, and only this
        # empties them.
        gc.collect()

    def _clear_by_age(self, known: set[str]) -> list[EndedJob]:
        """Trim the history, and return further jobs that ended too long ago; now and then alone."""
        now, config = time.monotonic(), self._controller.context.config.launchd
        if now < self._trim_at:
            return []
        self._trim_at = now + TRIM_SECONDS
        self._journal.trim_history(config.history.keep_jobs, config.history.keep_days * SECONDS_A_DAY)
        if config.jobs.keep_days is None:
            return []
        aged = self._journal.ended_long_before_last(config.jobs.keep_days * SECONDS_A_DAY, FORGET_AT_ONCE)
        return [job for job in aged if job.item_id not in known]

    def _old_job(self, names: tuple[str, ...], users: tuple[int, ...]) -> OldJob:
        return OldJob(tuple(map(self._controller.context.job_directory, names)), users)

    def _sweep_groups(self) -> None:
        """Remove the control groups of jobs that are over, and end what is left of earlier attempts."""
        jobs = list(self._table.jobs())
        earlier = {name for job in jobs for name in attempt_names(job.name, job.attempt)[:-1]}
        self._controller.context.groups.sweep({job.name for job in jobs}, earlier)
