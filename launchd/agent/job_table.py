"""A job in our care: its record, and what only this process knows of it.

Plain data; :mod:`launchd.agent.job_controller` decides. What must survive us stands in the record.
"""

from dataclasses import dataclass

from ipc.errors import ErrorReport
from ipc.messages import Failed, Finished
from launchd.agent.job_record import JobRecord


@dataclass
class Charge:
    """One job. Times are monotonic seconds.

    ``staff_at`` says when it is to get a worker, and is ``None`` while it has one, which it got at ``staffed_at``.
    ``outcome`` is its worker's word until the worker has left well; ``overdue`` why its worker was ended.
    """

    job: JobRecord
    staff_at: float | None = 0.0
    staffed_at: float = 0.0
    awaits_go_ahead: bool = False
    is_being_adopted: bool = False
    outcome: Finished | Failed | None = None
    overdue: ErrorReport | None = None
