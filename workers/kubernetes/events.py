"""What a cluster says of an object beside the object's status: its events, of about the last hour. Changes nothing.

That a volume cannot be mounted, or that no pod is allowed, is in no status: events alone say so.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ipc.errors import RunnerUnavailable
from workers.kubernetes.api import ApiRefusal, KubernetesApi
from workers.kubernetes.status import is_over, words_of

Object = Mapping[str, Any]

#: Of what is no warning, this says why a pod waits.
_TELLING = ("Pulling",)
_TIMES = ("lastTimestamp", "eventTime", "firstTimestamp")


def why_it_waits(api: KubernetesApi, owner: Object, pods: Iterable[Object]) -> str | None:
    """Return in the cluster's words why the first of ``pods`` that has not ended waits, or ``owner`` has no pod.

    None where its last event does not tell that, where the agent may not list events, and where the cluster gives no
    answer: no job depends on it.
    """
    waiting = next((pod for pod in pods if not is_over(pod)), owner)
    path = f"/api/v1/namespaces/{owner['metadata']['namespace']}/events"
    try:
        answer = api.get(path, fieldSelector=f"involvedObject.uid={waiting['metadata']['uid']}")
    except (ApiRefusal, RunnerUnavailable):
        return None
    last = max(answer.get("items") or (), key=_place, default=None)
    if last is None or not (_is_warning(last) or last.get("reason") in _TELLING):
        return None
    return words_of(last)


def _place(event: Object) -> tuple[str, bool]:
    """Return what orders events: by their last time, and at the same time a warning is the later one."""
    series = event.get("series") or {}
    times = (str(event.get(key) or "").rstrip("Z") for key in _TIMES)
    return max(*times, str(series.get("lastObservedTime") or "").rstrip("Z")), _is_warning(event)


def _is_warning(event: Object) -> bool:
    return event.get("type") == "Warning"
