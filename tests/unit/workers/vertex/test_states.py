"""Every state that the SDK knows means something."""

import pytest

from ipc.states import JobState
from workers.vertex.states import status

MEANINGS = {
    "JOB_STATE_UNSPECIFIED": JobState.UNKNOWN,
    "JOB_STATE_QUEUED": JobState.STARTING,
    "JOB_STATE_PENDING": JobState.STARTING,
    "JOB_STATE_RUNNING": JobState.RUNNING,
    "JOB_STATE_SUCCEEDED": JobState.FINISHED,
    "JOB_STATE_FAILED": JobState.FAILED,
    "JOB_STATE_CANCELLING": JobState.STOPPING,
    "JOB_STATE_CANCELLED": JobState.STOPPED,
    "JOB_STATE_PAUSED": JobState.RUNNING,
    "JOB_STATE_EXPIRED": JobState.FAILED,
    "JOB_STATE_UPDATING": JobState.RUNNING,
    "JOB_STATE_PARTIALLY_SUCCEEDED": JobState.FINISHED,
}


@pytest.mark.parametrize("state", MEANINGS)
def test_a_state_means_something(state: str) -> None:
    assert status(state).state is MEANINGS[state]


def test_these_are_all_states() -> None:
    # The SDK takes seconds to import, and every process of a run imports this module.
    from google.cloud.aiplatform_v1.types import JobState as TheirState

    assert MEANINGS.keys() == {state.name for state in TheirState}


def test_a_state_of_a_later_version_is_unknown() -> None:
    assert status("JOB_STATE_DREAMING").state is JobState.UNKNOWN


@pytest.mark.parametrize("state", ["JOB_STATE_QUEUED", "JOB_STATE_PENDING"])
def test_a_job_that_is_started_again_has_started(state: str) -> None:
    again = status(state, has_started=True)

    assert (again.state, again.message) == (JobState.RUNNING, "Vertex AI starts the job again")


@pytest.mark.parametrize("state", ["JOB_STATE_FAILED", "JOB_STATE_EXPIRED", "JOB_STATE_CANCELLED"])
def test_what_vertex_ai_says_of_an_end_is_told(state: str) -> None:
    ended = status(state, "The replica workerpool0-0 ran out of memory.")

    assert ended.result is not None
    assert ended.result.message == "The replica workerpool0-0 ran out of memory."
