"""The table of states: terminal ones are final, every state can be reached and left, and words are W&B's."""

import pytest

from ipc.states import (
    TERMINAL_STATES,
    TRANSITIONS,
    IllegalTransition,
    JobState,
    check_transition,
    mermaid_diagram,
    status_word,
)

#: Nothing of the job can exist outside the agent in these.
UNSUBMITTED_STATES = frozenset({JobState.CLAIMED, JobState.FETCHING, JobState.BUILDING})

WANDB_WORDS = {"starting", "running", "stopping", "finished", "failed", "stopped", "preempted", "unknown"}


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(JobState)


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
def test_a_terminal_state_is_never_overwritten(state: JobState) -> None:
    for after in JobState:
        with pytest.raises(IllegalTransition, match=f"from {state} to {after}"):
            check_transition(state, after)


def test_every_state_can_be_reached_from_the_claim() -> None:
    reached = {JobState.CLAIMED}
    while more := {after for state in reached for after in TRANSITIONS[state]} - reached:
        reached |= more
    assert reached == set(JobState)


@pytest.mark.parametrize("state", sorted(set(JobState) - TERMINAL_STATES))
def test_every_other_state_can_fail_and_be_stopped(state: JobState) -> None:
    check_transition(state, JobState.FAILED)
    check_transition(state, JobState.STOPPED)


@pytest.mark.parametrize("state", sorted(set(JobState) - TERMINAL_STATES - UNSUBMITTED_STATES - {JobState.SUBMITTING}))
def test_what_exists_outside_does_not_start_over(state: JobState) -> None:
    assert not TRANSITIONS[state] & UNSUBMITTED_STATES


def test_users_are_told_wandbs_words() -> None:
    assert {status_word(state) for state in JobState} == WANDB_WORDS


def test_the_diagram_has_every_transition() -> None:
    diagram = mermaid_diagram()
    for before, targets in TRANSITIONS.items():
        for after in targets:
            assert f"    {before} --> {after}\n" in diagram
