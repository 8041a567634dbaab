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
_PARTIAL = "Vertex AI says that the job succeeded in part."
_EXPIRED = "Vertex AI gave the job up: it did not start, or did not end, within the time that it may take."
_FAILED = "Vertex AI says that the job failed, and not why."
_CANCELLED = "The job was cancelled."

REMOVED = "The job was removed from Vertex AI; how it ended is lost."


def status(state: str, error: str = "", *, has_started: bool = False) -> Status:
    """Return what a state means; ``has_started`` says whether the job has run before.

    A job has several processes on several machines: how each of them ended is in ``error`` alone, as a text.
    """
    match state:
        case "JOB_STATE_QUEUED" | "JOB_STATE_PENDING":
            # Nothing that has run is waited for as if it never had.
            return Status(JobState.RUNNING, message=_AGAIN) if has_started else _starting(state)
        case "JOB_STATE_RUNNING" | "JOB_STATE_UPDATING" | "JOB_STATE_PAUSED":
            return Status(JobState.RUNNING, message=_RUNNING[state])
        case "JOB_STATE_CANCELLING":
            return Status(JobState.STOPPING)
        case "JOB_STATE_SUCCEEDED":
            return Status(JobState.FINISHED, ExitResult(code=0))
        case "JOB_STATE_PARTIALLY_SUCCEEDED":
            return _ended(JobState.FINISHED, error or _PARTIAL)
        case "JOB_STATE_FAILED":
            return _ended(JobState.FAILED, error or _FAILED)
        case "JOB_STATE_EXPIRED":
            return _ended(JobState.FAILED, error or _EXPIRED)
        case "JOB_STATE_CANCELLED":
            return _ended(JobState.STOPPED, error or _CANCELLED)
        case _:
            return Status(JobState.UNKNOWN, message=f"Vertex AI calls the job {state}")


def _starting(state: str) -> Status:
    return Status(JobState.STARTING, message=_STARTING[state])


def _ended(state: JobState, message: str) -> Status:
    return Status(state, ExitResult(message=message), message)
