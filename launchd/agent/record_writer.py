"""Changes of job records: in memory and journal at once; what depends on them after the commit; errors of one job.

Shared by the parts that decide about jobs. Main thread only.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from launchd.agent.job_record import JobRecord
from launchd.agent.job_table import JobTable
from launchd.agent.journal import Journal

log = logging.getLogger(__name__)


class RecordWriter:
    """Saves records. ``on_error`` is called with the item id and with what handling that item's job raised."""

    def __init__(self, journal: Journal, table: JobTable, on_error: Callable[[str, Exception], None]) -> None:
        self._journal = journal
        self._table = table
        self._on_error = on_error

    def save(self, job: JobRecord) -> None:
        """Have ``job`` be the record of its active job, here and in the journal."""
        active = self._table.get(job.item_id)
        if active is not None:
            active.job = job
            self._table.put(active)
        self._journal.save(job)

    def after_commit(self, item_id: str, action: Callable[[], None], *, lazy: bool = False) -> None:
        """Do ``action`` for a job after the next commit of the journal; a ``lazy`` one does not hasten the commit."""

        def hook() -> None:
            with self.border(item_id):
                action()

        self._journal.on_commit(hook, lazy=lazy)

    @contextmanager
    def border(self, item_id: str) -> Iterator[None]:
        """Keep what handling a job raises with that job: it is logged with its traceback, and ``on_error`` decides."""
        try:
            yield
        except Exception as error:
            log.exception("Handling a job raised an unexpected error.", extra={"item": item_id})
            self._on_error(item_id, error)


def log_fields(job: JobRecord) -> dict[str, object]:
    """Return what every log record about a job carries."""
    return {"item": job.item_id, "queue": job.queue, "run": job.spec.run_id, "job": job.name, "state": str(job.state)}
