"""Pods in the tests' own cluster that are no process: made, and taken away, as a cluster of several nodes does it."""

from typing import Any

from tests.support.fake_kubernetes import FakeKubernetes

Object = dict[str, Any]

#: The condition of a pod that the cluster takes away.
TAKEN: Object = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "PreemptionByScheduler",
    "message": "a larger one",
}
#: How a pod ends that fails by itself.
BAD_END: Object = {
    "phase": "Failed",
    "containerStatuses": [{"name": "launch0", "restartCount": 0, "state": {"terminated": {"exitCode": 3}}}],
}


def make_pod(cluster: FakeKubernetes, job: str, name: str, node: str = "one", created: str | None = None) -> None:
    """Make a pod of a Job that runs on a node."""
    (owner,) = (one for one in cluster.objects("jobs") if one["metadata"]["name"] == job)
    status = {
        "phase": "Running",
        "containerStatuses": [{"name": "launch0", "restartCount": 0, "state": {"running": {}}}],
    }
    metadata = {"name": name, "labels": owner["metadata"]["labels"]}
    cluster.create(("default", "pods"), {"metadata": metadata, "spec": {"nodeName": node}, "status": status})
    if created is not None:
        cluster.change("pods", name, lambda pod: pod["metadata"].update(creationTimestamp=created))


def let_wait(cluster: FakeKubernetes, name: str, reason: str, message: str = "") -> None:
    """Say of a pod that its container waits."""
    waiting = {"name": "launch0", "restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}}
    cluster.change("pods", name, lambda pod: pod.update(status={"phase": "Pending", "containerStatuses": [waiting]}))


def tell(
    cluster: FakeKubernetes,
    about: Object,
    message: str,
    kind: str = "Warning",
    namespace: str = "default",
    **more: Any,
) -> None:
    """Give an object an event."""
    metadata = {"name": f"event-{len(cluster.objects('events', namespace))}"}
    subject = {"uid": about["metadata"]["uid"], "name": about["metadata"]["name"]}
    event = {"metadata": metadata, "involvedObject": subject, "type": kind, "message": message, **more}
    cluster.create((namespace, "events"), event)


def take_pod(cluster: FakeKubernetes, name: str, namespace: str = "default", **condition: str) -> None:
    """Say of a pod that the cluster takes it away."""
    cluster.change("pods", name, lambda pod: pod["status"].update(conditions=[TAKEN | condition]), namespace)


def fail_job(cluster: FakeKubernetes, name: str, namespace: str = "default") -> None:
    """Say of a Job that it failed, as its controller does for its pods."""
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
    cluster.change("jobs", name, lambda job: job.update(status=failed), namespace)
