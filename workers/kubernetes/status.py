"""How a job stands, read from its object and its pods as the cluster shows them. Pure.

Reasons are the cluster's own words, told apart by the types and reasons that it gives them, never by sentences.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ipc.handles import ExitResult
from ipc.states import JobState

Object = Mapping[str, Any]

#: Why a container that waits cannot go on by itself, as the end of a sentence.
_WAITING = {
    "ErrImagePull": "its image cannot be pulled",
    "ImagePullBackOff": "its image cannot be pulled",
    "InvalidImageName": "the name of its image is wrong",
    "ErrImageNeverPull": "its image is not on the node, and may not be pulled",
    "RegistryUnavailable": "the registry of its image does not answer",
    "CreateContainerConfigError": "its container cannot be configured",
    "CreateContainerError": "its container cannot be created",
    "RunContainerError": "its container cannot be started",
    "CrashLoopBackOff": "its container ends again and again",
}

#: The condition of a pod that the cluster takes away: for a larger one, or from a node that is gone.
TAKEN = "DisruptionTarget"
#: Why a pod is not known of any more, in the words of its status.
_NODE_LOST = "NodeLost"

MISSING_CONFIGURATION = "CreateContainerConfigError"
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff")

#: How a custom resource stands, by its controller's word: phases, and types of conditions, in small letters.
_PHASES = {
    "created": JobState.STARTING,
    "pending": JobState.STARTING,
    "inqueue": JobState.STARTING,
    "suspended": JobState.STARTING,
    "suspending": JobState.STARTING,
    "initializing": JobState.STARTING,
    "waiting": JobState.STARTING,
    "running": JobState.RUNNING,
    "completing": JobState.RUNNING,
    "restarting": JobState.RUNNING,
    "retrying": JobState.RUNNING,
    "succeeded": JobState.FINISHED,
    "completed": JobState.FINISHED,
    "complete": JobState.FINISHED,
    "failed": JobState.FAILED,
    "aborted": JobState.FAILED,
    "timeout": JobState.FAILED,
    "terminated": JobState.FAILED,
    "stopped": JobState.FAILED,
    "error": JobState.FAILED,
    "validationfailed": JobState.FAILED,
    "terminating": JobState.STOPPING,
}
#: Of several conditions that are true, the first of these states counts.
_ORDER = (JobState.FINISHED, JobState.FAILED, JobState.STOPPING, JobState.RUNNING, JobState.STARTING)

_MOST_TEXT = 500


class Seen(msgspec.Struct, frozen=True):
    """How a job stands: ``result`` goes with a terminal ``state``.

    ``is_unexplained`` says that it waits, and nothing in its status tells what for.
    """

    state: JobState
    result: ExitResult | None = None
    message: str | None = None
    is_unexplained: bool = False


def judge_job(job: Object, pods: Iterable[Object]) -> Seen:
    """Return how a Job stands."""
    known = sorted(pods, key=_created)
    if condition_of(job, "Complete") is not None:
        return Seen(JobState.FINISHED, ExitResult(code=0))
    failed = condition_of(job, "Failed")
    if failed is not None:
        return _failed(failed, known)
    if condition_of(job, "Suspended") is not None or _inner(job, "spec").get("suspend"):
        return Seen(JobState.STARTING, message="the Job is suspended: what admits it, such as Kueue, has not yet")
    return judge_pods(known)


def judge_pods(pods: Iterable[Object]) -> Seen:
    """Return how a job stands that has not ended, by its pods, the oldest first."""
    known = list(pods)
    living = [pod for pod in known if not is_over(pod)]
    if any(_runs(pod) for pod in living):
        return Seen(JobState.RUNNING, message=next(_troubles(living), None))
    if living:
        why = next(_troubles(living), None) or next(_preparations(living), None)
        return Seen(JobState.STARTING, None, why or "its pod is being created", is_unexplained=why is None)
    if known:
        why = next(_troubles(known), None) or "its pods have ended, and its controller has not said how"
        return Seen(JobState.RUNNING, message=why)
    return Seen(JobState.STARTING, message="it has no pod yet", is_unexplained=True)


def judge_custom(resource: Object, pods: Iterable[Object]) -> Seen:
    """Return how an object of another kind stands: by its phase, else by its conditions, else by its pods."""
    status = _inner(resource, "status")
    words = list(_words(status))
    known = sorted(pods, key=_created)
    state = next((one for one in _ORDER if one in (_PHASES.get(word.lower()) for word, _ in words)), None)
    if state is None:
        return judge_pods(known)
    message = next((text for word, text in words if text and _PHASES.get(word.lower()) is state), None)
    if state is JobState.FINISHED:
        return Seen(state, ExitResult(code=0))
    if state is JobState.FAILED:
        return _custom_failed(message, known)
    if state is JobState.STARTING:
        message = next(_troubles(known), None) or message
    return Seen(state, message=message, is_unexplained=state is JobState.STARTING and message is None)


def pods_are_over(pods: Sequence[Object]) -> bool:
    """Return whether there are pods, and all have ended."""
    return bool(pods) and all(is_over(pod) for pod in pods)


def lacks_configuration(pods: Iterable[Object]) -> bool:
    """Return whether a container waits for something that it is configured by, such as a Secret."""
    return _waits_for(pods, (MISSING_CONFIGURATION,))


def cannot_be_pulled(pods: Iterable[Object]) -> bool:
    """Return whether a container waits for an image that its node could not pull."""
    return _waits_for(pods, _NOT_PULLED)


def condition_of(resource: Object, kind: str) -> Object | None:
    """Return the condition of the type ``kind`` that is true of an object, or ``None``."""
    return next((one for one in _conditions(resource) if one.get("type") == kind and one.get("status") == "True"), None)


def was_replaced(taken: Object, pods: Iterable[Object]) -> bool:
    """Return whether another pod came after ``taken`` was taken away: the job went on, and ended in its own way."""
    when = _time(condition_of(taken, TAKEN) or {}, "lastTransitionTime")
    return bool(when) and any(_created(pod) > when for pod in pods)


def _preparations(pods: Iterable[Object]) -> Iterator[str]:
    for pod in pods:
        for one in _inner(pod, "status").get("initContainerStatuses") or ():
            if "running" in _inner(one, "state"):
                yield f"its pod is being prepared by the container {one.get('name')}"


def words_of(said: Object) -> str:
    """Return the message of a condition, a state or an event, else its reason, without a full stop."""
    return (_text(said.get("message")) or _text(said.get("reason")) or "no reason is given").rstrip(".")


def is_over(pod: Object) -> bool:
    """Return whether a pod has ended."""
    return _inner(pod, "status").get("phase") in ("Succeeded", "Failed")


def _waits_for(pods: Iterable[Object], reasons: Container[str]) -> bool:
    return any(_inner(one, "state", "waiting").get("reason") in reasons for pod in pods for one in _statuses(pod))


def _words(status: Object) -> Iterator[tuple[str, str | None]]:
    state = status.get("state")
    phase = state.get("phase") if type(state) is dict else status.get("phase") or _phase_of_ray(status)
    if type(phase) is str:
        message = state.get("message") if type(state) is dict else status.get("message")
        yield phase, _text(message)
        return
    for one in status.get("conditions") or ():
        if one.get("status") == "True" and type(one.get("type")) is str:
            yield one["type"], _text(one.get("message"))


def _phase_of_ray(status: Object) -> str | None:
    """Return how a RayJob stands: its operator's word, and Ray's own once it is over, also for one that failed."""
    operator, ray = _text(status.get("jobDeploymentStatus")), _text(status.get("jobStatus"))
    return ray or operator if operator == "Complete" else operator or ray


def _failed(condition: Object, pods: list[Object]) -> Seen:
    """Return how a Job failed: its last pod knows more than the Job."""
    if condition.get("reason") == "DeadlineExceeded":
        message = "The job ran longer than its activeDeadlineSeconds allow, and was ended by Kubernetes."
        return Seen(JobState.FAILED, ExitResult(message=message), message)
    taken = _taken(pods)
    if taken is not None:
        return taken
    result = _exit_of(pods)
    if result is None:
        message = f"Kubernetes reports that the Job failed: {words_of(condition)}."
        result = ExitResult(message=message)
    return Seen(JobState.FAILED, result, result.message)


def _taken(pods: list[Object]) -> Seen | None:
    """Return that the cluster took a pod away, ``None`` where it took none, or the job went on with another one."""
    taken = next((pod for pod in reversed(pods) if condition_of(pod, TAKEN) and not was_replaced(pod, pods)), None)
    if taken is None:
        return None
    message = f"The cluster took the job's pod away: {words_of(condition_of(taken, TAKEN) or {})}."
    return Seen(JobState.PREEMPTED, ExitResult(message=message), message)


def _custom_failed(message: str | None, pods: list[Object]) -> Seen:
    taken = _taken(pods)
    if taken is not None:
        return taken
    result = _exit_of(pods) or ExitResult(message=message or "The cluster reports that the job failed.")
    return Seen(JobState.FAILED, result, result.message)


def _exit_of(pods: list[Object]) -> ExitResult | None:
    """Return how the last pod that failed did, ``None`` where none says."""
    for pod in reversed(pods):
        if _inner(pod, "status").get("reason") == "Evicted":
            return ExitResult(message=f"The job's pod was evicted: {_text(_inner(pod, 'status').get('message'))}")
        for one in _statuses(pod):
            ended = _inner(one, "state", "terminated") or _inner(one, "lastState", "terminated")
            if ended and ended.get("exitCode") != 0:
                return _exit_result(one, ended)
    return None


def _exit_result(container: Object, ended: Object) -> ExitResult:
    code = int(ended.get("exitCode") or 0)
    if ended.get("reason") == "OOMKilled":
        limit = "The job used more memory than its container may, and was ended."
        return ExitResult(code=code & 255, oom_killed=True, message=limit)
    signal = ended.get("signal")
    message = _text(ended.get("message"))
    if ended.get("reason") in ("ContainerCannotRun", "StartError"):
        message = f"The container {container.get('name')} could not be started: {message}"
    return ExitResult(signal=int(signal), message=message) if signal else ExitResult(code=code & 255, message=message)


def _troubles(pods: Iterable[Object]) -> Iterator[str]:
    """Yield what pods wait for, where that says more than that they are on their way."""
    for pod in pods:
        scheduled = next((one for one in _conditions(pod) if one.get("type") == "PodScheduled"), {})
        if scheduled.get("status") == "False":
            yield f"its pod cannot be scheduled: {words_of(scheduled)}"
        if (taken := condition_of(pod, TAKEN)) is not None:
            yield f"the cluster takes its pod away: {words_of(taken)}"
        if _inner(pod, "status").get("reason") == _NODE_LOST:
            yield f"the node of its pod does not answer: {words_of(_inner(pod, 'status'))}"
        for one in _statuses(pod):
            waiting = _inner(one, "state", "waiting")
            why = _WAITING.get(str(waiting.get("reason")))
            if why is not None:
                yield f"{why}: {words_of(waiting)}"


def _text(value: Any) -> str | None:
    return " ".join(value.split())[:_MOST_TEXT] if type(value) is str and value.strip() else None


def _runs(pod: Object) -> bool:
    """Return whether one of a pod's containers has been started; those that prepare it do not count."""
    own = _inner(pod, "status").get("containerStatuses") or ()
    return any("running" in _inner(one, "state") or one.get("restartCount") for one in own)


def _statuses(pod: Object) -> list[Object]:
    status = _inner(pod, "status")
    return [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]


def _conditions(resource: Object) -> list[Object]:
    return list(_inner(resource, "status").get("conditions") or ())


def _created(pod: Object) -> str:
    return _time(_inner(pod, "metadata"), "creationTimestamp")


def _time(said: Object, key: str) -> str:
    """Return a time as the API writes it, which orders as a text; an empty one where there is none."""
    return str(said.get(key) or "")


def _inner(value: Object, *keys: str) -> Object:
    inner: Any = value
    for key in keys:
        inner = inner.get(key) if type(inner) is dict else None
    return inner if type(inner) is dict else {}
