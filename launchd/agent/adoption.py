"""What a supervisor does first: take back the jobs of the one before it.

Workloads ran on without us, and their names, where they may exist, are in the
journal. There are three cases for a job that is not over:

* nothing can exist outside: it starts over;
* a handle is known: a new worker looks after it again;
* the name alone is known: a new worker asks the runner whether it exists.

The worker of an earlier supervisor that still lives is ended by its successor,
which takes the lock of the job's directory (``workers.job_lock``).
"""

import logging

from ipc.failpoints import hit
from launchd.agent.job_controller import JobController
from launchd.agent.journal import Journal

log = logging.getLogger(__name__)


def adopt_all(journal: Journal, controller: JobController) -> int:
    """Take all jobs of the journal that are not over into ``care``; returns how many. Comes before any claim."""
    jobs = journal.jobs_in_care()
    hit("supervisor.adopting")
    for job in jobs:
        controller.adopt(job)
    if jobs:
        log.info("The jobs of the agent before us are taken over.", extra={"jobs": len(jobs)})
    return len(jobs)
