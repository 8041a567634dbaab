"""What SageMaker says of a training job, as a status."""

from typing import Any

import pytest

from ipc.states import JobState
from workers.sagemaker.states import read_status


def said(status: str, secondary: str = "", **more: Any) -> dict[str, Any]:
    return {"TrainingJobStatus": status, "SecondaryStatus": secondary, **more}


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (said("Completed", "Completed"), JobState.FINISHED),
        (said("Failed", "Failed"), JobState.FAILED),
        (said("Stopped", "Stopped"), JobState.STOPPED),
        (said("Stopped", "MaxRuntimeExceeded"), JobState.FAILED),
        (said("Stopped", "MaxWaitTimeExceeded"), JobState.FAILED),
        (said("Stopping", "Stopping"), JobState.STOPPING),
        (said("InProgress", "Starting"), JobState.STARTING),
        (said("InProgress", "Pending"), JobState.STARTING),
        (said("InProgress", "DownloadingTrainingImage"), JobState.STARTING),
        (said("InProgress", "Training"), JobState.RUNNING),
        (said("InProgress", "Uploading"), JobState.RUNNING),
        (said("InProgress", "Starting", TrainingStartTime=1), JobState.RUNNING),
        (said("InProgress", "Interrupted", TrainingStartTime=1), JobState.RUNNING),
        (said("Deleting"), JobState.UNKNOWN),
        ({}, JobState.UNKNOWN),
    ],
)
def test_each_status_has_its_state(answer: dict[str, Any], state: JobState) -> None:
    assert read_status(answer).state is state


def test_a_failure_says_why_and_with_which_exit_code() -> None:
    status = read_status(said("Failed", FailureReason="AlgorithmError: , exit code: 137"))

    assert status.result is not None
    assert (status.result.code, status.message) == (137, "AlgorithmError: , exit code: 137")


def test_a_failure_of_sagemakers_own_has_no_exit_code() -> None:
    status = read_status(said("Failed", FailureReason="CapacityError: Unable to provision requested ML compute"))

    assert status.result is not None
    assert (status.result.code, status.message) == (None, "CapacityError: Unable to provision requested ML compute")


def test_a_job_that_waits_says_for_what() -> None:
    transitions = [{"Status": "Starting", "StatusMessage": "Insufficient capacity error, retrying!"}]

    status = read_status(said("InProgress", "Starting", SecondaryStatusTransitions=transitions))

    assert status.message == "Starting: Insufficient capacity error, retrying!"


def test_a_limit_is_no_success() -> None:
    status = read_status(said("Stopped", "MaxRuntimeExceeded"))

    assert "StoppingCondition.MaxRuntimeInSeconds" in (status.message or "")
