"""What a cluster's refusal of a job means to people."""

from collections.abc import Callable
from typing import TypeVar

from ipc.errors import RunnerUnavailable, SubmitError
from workers.kubernetes.api import BAD_REQUEST, CONFLICT, FORBIDDEN, INVALID, NOT_FOUND, TOO_LARGE, ApiRefusal

T = TypeVar("T")

_CORRECT = "Correct the queue's configuration, or the job's resource_args.kubernetes."
RIGHTS_HINT = "The cluster's administrator grants the agent this right in the namespace (docs/kubernetes.md has all)."
#: What helps, by the status of the refusal.
_HINTS = {
    FORBIDDEN: (
        "The cluster's administrator grants the agent this right in the namespace (docs/kubernetes.md has all), or"
        " raises the quota that is used up."
    ),
    NOT_FOUND: (
        "Create the namespace, or name another one: namespace in the queue's configuration, or"
        " launchd.kubernetes.namespace."
    ),
    INVALID: _CORRECT,
    BAD_REQUEST: _CORRECT,
    TOO_LARGE: "Have the job read large values from a volume or a store; a manifest has room for less than 3 MiB.",
}


def unanswered(refusal: ApiRefusal) -> RunnerUnavailable:
    """Return the error for a question about a job that the cluster refuses this host; the job may well run."""
    hint = RIGHTS_HINT if refusal.status == FORBIDDEN else None
    return RunnerUnavailable(f"Kubernetes refused to answer: {refusal.message}.", hint=hint)


def refused(refusal: ApiRefusal) -> SubmitError:
    """Return the error for a job that the cluster does not take."""
    return SubmitError(f"Kubernetes refused the job: {refusal.message}.", hint=_HINTS.get(refusal.status))


def asked(question: Callable[[], T]) -> T | None:
    """Return the cluster's answer, ``None`` where what is asked about is gone or another's.

    Raises:
        RunnerUnavailable: no answer, or a refusal that is about the agent and not about the job.
    """
    try:
        return question()
    except ApiRefusal as refusal:
        if refusal.status in (NOT_FOUND, CONFLICT):
            return None
        raise unanswered(refusal) from refusal
