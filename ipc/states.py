"""The states of a job and the only transitions between them.

Owns one table. Code that changes a job's state calls :func:`check_transition`
first; the diagram in the documentation is drawn from the same table.
"""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands, from the claim of its run queue item to its end."""

    CLAIMED = "claimed"
    FETCHING = "fetching"
    BUILDING = "building"
    SUBMITTING = "submitting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    UNKNOWN = "unknown"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    PREEMPTED = "preempted"


TERMINAL_STATES = frozenset({JobState.FINISHED, JobState.FAILED, JobState.STOPPED, JobState.PREEMPTED})

_S = JobState

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    _S.CLAIMED: frozenset({_S.FETCHING, _S.FAILED, _S.STOPPED}),
    # A worker that died before it could create anything is replaced: back to claimed.
    _S.FETCHING: frozenset({_S.CLAIMED, _S.BUILDING, _S.SUBMITTING, _S.FAILED, _S.STOPPED}),
    _S.BUILDING: frozenset({_S.CLAIMED, _S.SUBMITTING, _S.FAILED, _S.STOPPED}),
    # A new worker that finds nothing outside under the name starts over: back to claimed.
    _S.SUBMITTING: frozenset({_S.CLAIMED, _S.STARTING, _S.RUNNING, _S.STOPPING, _S.UNKNOWN}) | TERMINAL_STATES,
    _S.STARTING: frozenset({_S.RUNNING, _S.STOPPING, _S.UNKNOWN}) | TERMINAL_STATES,
    _S.RUNNING: frozenset({_S.STOPPING, _S.UNKNOWN}) | TERMINAL_STATES,
    _S.STOPPING: frozenset({_S.UNKNOWN}) | TERMINAL_STATES,
    _S.UNKNOWN: frozenset({_S.STARTING, _S.RUNNING, _S.STOPPING}) | TERMINAL_STATES,
    # A terminal state is never overwritten.
    _S.FINISHED: frozenset(),
    _S.FAILED: frozenset(),
    _S.STOPPED: frozenset(),
    _S.PREEMPTED: frozenset(),
}

#: What users are told, in the words of W&B Launch (its runner states).
_STATUS_WORDS: dict[JobState, str] = {
    _S.CLAIMED: "starting",
    _S.FETCHING: "starting",
    _S.BUILDING: "starting",
    _S.SUBMITTING: "starting",
    _S.STARTING: "starting",
    _S.RUNNING: "running",
    _S.STOPPING: "stopping",
    _S.UNKNOWN: "unknown",
    _S.FINISHED: "finished",
    _S.FAILED: "failed",
    _S.STOPPED: "stopped",
    _S.PREEMPTED: "preempted",
}


class IllegalTransition(Exception):
    """A job was asked to go from one state to another that the table does not allow."""

    def __init__(self, before: JobState, after: JobState) -> None:
        super().__init__(f"a job cannot go from {before} to {after}")
        self.before = before
        self.after = after


def check_transition(before: JobState, after: JobState) -> None:
    """Raise :class:`IllegalTransition` unless the table allows ``before -> after``."""
    if after not in TRANSITIONS[before]:
        raise IllegalTransition(before, after)


def status_word(state: JobState) -> str:
    """Return W&B's status word for ``state``."""
    return _STATUS_WORDS[state]


def mermaid_diagram() -> str:
    """Return the table as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", f"    [*] --> {JobState.CLAIMED}"]
    for before, targets in TRANSITIONS.items():
        lines += [f"    {before} --> {after}" for after in JobState if after in targets]
        if before in TERMINAL_STATES:
            lines.append(f"    {before} --> [*]")
    return "\n".join(lines) + "\n"
