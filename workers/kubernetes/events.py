"""What a cluster says of an object beside the object's status: its events, of about the last hour. Changes nothing.

That a volume cannot be mounted, or that no pod is allowed, is in no status: events alone say so.
"""

from collections.abc import Mapping
from typing import Any

from ipc.errors import RunnerUnavailable
from workers.kubernetes.api import ApiRefusal, KubernetesApi
from workers.kubernetes.status import words_of

#: Of what is no warning, this says why a pod waits.
_TELLING = ("Pulling",)
_TIMES = ("lastTimestamp", "eventTime", "firstTimestamp")


def newest_reason(api: KubernetesApi, namespace: str, uid: str) -> str | None:
    """Return in the cluster's words why the object ``uid`` waits: its last event, where that tells it.

    None also where the agent may not list events, or the cluster gives no answer: a job does not depend on it.
    """
    path, query = f"/api/v1/namespaces/{namespace}/events", f"involvedObject.uid={uid}"
    try:
        events = api.get(path, fieldSelector=query).get("items") or ()
    except (ApiRefusal, RunnerUnavailable):
        return None
    last = max(events, key=_place, default=None)
    if last is None or not (_is_warning(last) or last.get("reason") in _TELLING):
        return None
    return words_of(last)


def _place(event: Mapping[str, Any]) -> tuple[str, bool]:
    """Return what orders events: by their last time, and at the same time a warning is the later one."""
    series = event.get("series") or {}
    times = (str(event.get(key) or "").rstrip("Z") for key in _TIMES)
    return max(*times, str(series.get("lastObservedTime") or "").rstrip("Z")), _is_warning(event)


def _is_warning(event: Mapping[str, Any]) -> bool:
    return event.get("type") == "Warning"
