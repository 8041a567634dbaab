"""A build as the cluster has it: its Job, its pods and its Secrets, created, looked at and removed.

What is there already is used as it is, so each step may be done twice.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from ipc.errors import BuildError
from workers.kubernetes.api import CONFLICT, ApiRefusal, KubernetesApi
from workers.kubernetes.discovery import JOBS
from workers.pod_builds.content import BUILD_LABEL, Object

T = TypeVar("T")


class BuildObjects:
    """What there is of one build. Each method raises :class:`RunnerUnavailable` where the API gives no answer."""

    def __init__(self, api: KubernetesApi, namespace: str, name: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name

    @property
    def pods_path(self) -> str:
        """The path of the namespace's pods."""
        return f"/api/v1/namespaces/{self._namespace}/pods"

    def find(self) -> Object | None:
        """Return the Job, None where there is none; raises :class:`BuildError` where it is another's."""
        found = _asked(lambda: self._api.find(JOBS.path(self._namespace, self._name)))
        if found is not None and (found["metadata"].get("labels") or {}).get(BUILD_LABEL) != self._name:
            raise BuildError(f"The cluster has a Job {self._name} already, and it is no build of this agent's.")
        return found

    def pods(self) -> list[Object]:
        """Return the pods."""
        answer = _asked(lambda: self._api.get(self.pods_path, labelSelector=f"{BUILD_LABEL}={self._name}"))
        return list(answer.get("items") or ())

    def put_secret(self, secret: Object) -> None:
        """Create a Secret, or have an earlier one say the same."""
        try:
            self._api.create(self._secrets(), secret)
        except ApiRefusal as refusal:
            if refusal.status != CONFLICT:
                raise _refused(refusal) from refusal
            given: Object = {key: secret[key] for key in ("data", "stringData") if key in secret}
            _asked(lambda: self._api.patch(self._secrets(secret["metadata"]["name"]), given))

    def create(self, job: Object) -> Object:
        """Create the Job, or return the one that is there."""
        try:
            return self._api.create(JOBS.path(self._namespace), job)
        except ApiRefusal as refusal:
            found = self.find() if refusal.status == CONFLICT else None
            if found is None:
                raise _refused(refusal) from refusal
            return found

    def give_secret(self, name: str, job: Object) -> None:
        """Have a Secret go with the Job."""
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": self._name, "uid": job["metadata"]["uid"]}
        body = {"metadata": {"ownerReferences": [owner]}}
        # One that is gone is not missed: the Job is to be seen.
        with suppress(ApiRefusal):
            self._api.patch(self._secrets(name), body)

    def remove(self, secrets: tuple[str, ...]) -> None:
        """Remove the Job with its pods, and the Secrets."""
        _asked(lambda: self._api.delete(JOBS.path(self._namespace, self._name), {"propagationPolicy": "Background"}))
        for name in secrets:
            _asked(lambda one=name: self._api.delete(self._secrets(one)))  # type: ignore[misc]

    def _secrets(self, name: str | None = None) -> str:
        path = f"/api/v1/namespaces/{self._namespace}/secrets"
        return path if name is None else f"{path}/{name}"


def _asked(question: Callable[[], T]) -> T:
    try:
        return question()
    except ApiRefusal as refusal:
        raise _refused(refusal) from refusal


def _refused(refusal: ApiRefusal) -> BuildError:
    return BuildError(
        f"Kubernetes refused the build of the image: {refusal.message}.",
        hint="See which rights the agent needs in the cluster (docs/kubernetes.md).",
    )
