"""Commits the journal once in an iteration of the loop, and knows whether it can be written. Main thread only."""

import logging
import time

from launchd.agent.journal import Journal
from launchd.agent.journal_file import JournalError

#: A change that no hook waits for is in the journal after so many seconds.
LAZY_COMMIT_SECONDS = 0.2

log = logging.getLogger(__name__)


class JournalCommits:
    """The commits of ``journal``.

    Attributes:
        error: why the last commit failed, None where it did not.
        problem: why no jobs are to be claimed, as the journal cannot be written or has no room; None where they are.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._at = time.monotonic()
        self.error: str | None = None
        self.problem: str | None = None

    def commit(self, *, may_wait: bool) -> None:
        """Commit what has changed; where it ``may_wait`` and no hook waits for it, at most so often."""
        now = time.monotonic()
        may_wait = may_wait and not self._journal.commit_requested
        if may_wait and now - self._at < LAZY_COMMIT_SECONDS:
            return
        try:
            self._journal.commit()
        except JournalError as error:
            self.error = str(error)
            self._note_problem(self.error)
            return
        self.error = None
        # What is left of the room is for jobs that there are.
        self._note_problem(self._journal.shortage)
        self._at = now

    def _note_problem(self, problem: str | None) -> None:
        if problem != self.problem:
            self.problem = problem
            if problem is not None:
                log.error(
                    "The agent claims no jobs until its journal can be written and has room.", extra={"why": problem}
                )
            else:
                log.info("The journal can be written again, and has room.")
