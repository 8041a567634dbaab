"""A job in our care: its record, and what only this process knows of it.

Plain data; :mod:`launchd.agent.job_controller` decides. What must survive us stands in the record.
"""

from dataclasses import dataclass

from ipc.errors import ErrorReport
from ipc.messages import Failed, Finished
from launchd.agent.job_record import JobRecord


@dataclass
class ActiveJob:
    """One job. Times are monotonic seconds.

    ``staff_at`` says when it is to get a worker, and is ``None`` while it has one, which it got at ``staffed_at``.
    ``outcome`` is its worker's word until the worker has left well; ``overdue`` why its worker was ended.
    """

    job: JobRecord
    assign_at: float | None = 0.0
    assigned_at: float = 0.0
    awaiting_submit: bool = False
    adopting: bool = False
    reported_outcome: Finished | Failed | None = None
    timeout_error: ErrorReport | None = None
