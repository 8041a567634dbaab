"""What SageMaker says of a training job, as a status of this project. Pure."""

import re
from typing import Any

from ipc.handles import ExitResult
from ipc.states import JobState
from workers.runners import Status

#: Of a job in progress: what comes before its container runs. After that they mean that it is started once more.
_STARTING = frozenset({"Starting", "Pending", "LaunchingMLInstances", "PreparingTrainingStack", "Downloading"})
_STARTING_IMAGE = "DownloadingTrainingImage"

#: Why SageMaker itself stopped a job.
_LIMITS = {
    "MaxRuntimeExceeded": "SageMaker stopped the job because it ran longer than StoppingCondition.MaxRuntimeInSeconds.",
    "MaxWaitTimeExceeded": (
        "SageMaker stopped the job because it waited and ran longer than StoppingCondition.MaxWaitTimeInSeconds."
    ),
}

#: How SageMaker words the exit code of a job's container. It is shown; nothing is decided by it.
_EXIT_CODE = re.compile(r"exit code:? (\d{1,3})\b", re.IGNORECASE)
_LONGEST = 1000
_HIGHEST_CODE = 255


def read_status(answer: dict[str, Any]) -> Status:
    """Return the status in an answer of DescribeTrainingJob."""
    match answer.get("TrainingJobStatus"):
        case "Completed":
            return Status(JobState.FINISHED, ExitResult(code=0))
        case "Failed":
            return _failed(str(answer.get("FailureReason") or "SageMaker does not say why the training job failed."))
        case "Stopped":
            return _stopped(answer)
        case "Stopping":
            return Status(JobState.STOPPING)
        case "InProgress":
            return _in_progress(answer)
        case other:
            return Status(JobState.UNKNOWN, message=f"SageMaker says that the training job is {other}.")


def _failed(reason: str) -> Status:
    message = reason[:_LONGEST]
    return Status(JobState.FAILED, ExitResult(code=_exit_code(reason), message=message), message)


def _exit_code(reason: str) -> int | None:
    found = _EXIT_CODE.search(reason)
    return int(found[1]) if found and int(found[1]) <= _HIGHEST_CODE else None


def _stopped(answer: dict[str, Any]) -> Status:
    limit = _LIMITS.get(str(answer.get("SecondaryStatus")))
    if limit is not None:
        return Status(JobState.FAILED, ExitResult(message=limit), limit)
    return Status(JobState.STOPPED, ExitResult())


def _in_progress(answer: dict[str, Any]) -> Status:
    phase = str(answer.get("SecondaryStatus"))
    is_before_start = phase in _STARTING or phase == _STARTING_IMAGE
    if is_before_start and answer.get("TrainingStartTime") is None:
        return Status(JobState.STARTING, message=_message(answer, phase))
    return Status(JobState.RUNNING, message=None if phase == "Training" else _message(answer, phase))


def _message(answer: dict[str, Any], phase: str) -> str:
    """Return what SageMaker says it does, such as waiting for instances that there are not enough of."""
    transitions = answer.get("SecondaryStatusTransitions") or [{}]
    said = str(transitions[-1].get("StatusMessage") or "").strip()
    return f"{phase}: {said}"[:_LONGEST] if said else phase
