"""What a worker needs to know of a job that it only watches, where the job's work order may be what kills workers.

Owns the stand-in for a work order that cannot be read. Starts nothing.
"""

import logging
from pathlib import Path

import msgspec

from ipc.messages import Adopt
from ipc.run_spec import RunSpec
from ipc.work_order import WorkOrder, read_order

log = logging.getLogger(__name__)


def work_order(assignment: Adopt) -> WorkOrder:
    """Return the work order of the job, or one made of what the assignment says, by which its workload is found.

    Raises:
        OSError: it cannot be read, and without a handle nothing says what kind of workload the job is.
        msgspec.DecodeError: likewise, where it can be read and is no work order.
    """
    try:
        return read_order(Path(assignment.directory))
    except (OSError, msgspec.DecodeError) as error:
        if assignment.handle is None:
            raise
        log.warning(
            "The work order of a job cannot be read; the job is watched by its handle.",
            extra={"job": assignment.name, "error": str(error)},
        )
        return _stand_in(assignment, assignment.handle.runner)


def _stand_in(assignment: Adopt, resource: str) -> WorkOrder:
    _, _, attempt = assignment.name.rpartition("-")
    return WorkOrder(
        name=assignment.name,
        item_id="",
        queue="",
        entity="",
        attempt=int(attempt),
        base_url="",
        spec=RunSpec(entity="", project="", run_id="", resource=resource),
        directory=assignment.directory,
    )
