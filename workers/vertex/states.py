"""What the states of Vertex AI's jobs mean. Pure; the states are those of its enumeration ``JobState``."""

from ipc.handles import ExitResult
from ipc.states import JobState
from workers.runners import Status

_STARTING = {
    "JOB_STATE_QUEUED": "Vertex AI has the job in its queue",
    "JOB_STATE_PENDING": "Vertex AI prepares the job: machines, and its image",
}
_RUNNING = {
    "JOB_STATE_RUNNING": None,
    "JOB_STATE_UPDATING": "Vertex AI updates the job",
    "JOB_STATE_PAUSED": "Vertex AI has paused the job",
}
_AGAIN = "Vertex AI starts the job again"
#: How a job has ended, and what is said of it where Vertex AI says nothing.
_ENDS = {
    "JOB_STATE_PARTIALLY_SUCCEEDED": (JobState.FINISHED, "Vertex AI says that the job succeeded in part."),
    "JOB_STATE_FAILED": (JobState.FAILED, "Vertex AI says that the job failed, and not why."),
    "JOB_STATE_EXPIRED": (
        JobState.FAILED,
        "Vertex AI gave the job up: it did not start, or did not end, within the time that it may take.",
    ),
    "JOB_STATE_CANCELLED": (JobState.STOPPED, "The job was cancelled."),
}

REMOVED = "The job was removed from Vertex AI; how it ended is lost."


def status(state: str, error: str = "", *, has_started: bool = False) -> Status:
    """Return what a state means; ``has_started`` says whether the job has run before.

    A job has several processes on several machines: how each of them ended is in ``error`` alone, as a text.
    """
    if state in _STARTING:
        # Nothing that has run is waited for as if it never had.
        return _running(_AGAIN) if has_started else Status(JobState.STARTING, message=_STARTING[state])
    if state in _RUNNING:
        return _running(_RUNNING[state])
    if state in _ENDS:
        end, usual = _ENDS[state]
        return Status(end, ExitResult(message=error or usual), error or usual)
    match state:
        case "JOB_STATE_CANCELLING":
            return Status(JobState.STOPPING)
        case "JOB_STATE_SUCCEEDED":
            return Status(JobState.FINISHED, ExitResult(code=0))
        case _:
            return Status(JobState.UNKNOWN, message=f"Vertex AI calls the job {state}")


def _running(message: str | None) -> Status:
    return Status(JobState.RUNNING, message=message)
