"""Where a cluster keeps objects of a kind: asked for, and never guessed from the kind's name."""

from typing import Any
from urllib.parse import quote

import msgspec

from ipc.errors import InvalidSpec
from workers.kubernetes.api import NOT_FOUND, ApiRefusal, KubernetesApi


class Kind(msgspec.Struct, frozen=True):
    """A kind of object in namespaces; ``plural`` is its word in paths."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str, name: str | None = None) -> str:
        """Return the path of all objects of the kind in ``namespace``, or of the one with this name."""
        path = f"{root(self.api_version)}/namespaces/{quote(namespace, safe='')}/{self.plural}"
        return path if name is None else f"{path}/{name}"


JOBS = Kind("batch/v1", "Job", "jobs")


def root(api_version: str) -> str:
    """Return the path of a group and version of the API."""
    return f"/apis/{quote(api_version)}" if "/" in api_version else f"/api/{quote(api_version)}"


def find_kind(api: KubernetesApi, manifest: dict[str, Any]) -> Kind:
    """Return the kind of a manifest as the cluster has it.

    Raises:
        InvalidSpec: the cluster has no such kind in namespaces.
        ApiRefusal: it does not say.
        RunnerUnavailable: it does not answer.
    """
    api_version, kind = str(manifest["apiVersion"]), str(manifest.get("kind"))
    try:
        resources = api.get(root(api_version)).get("resources") or ()
    except ApiRefusal as refusal:
        if refusal.status != NOT_FOUND:
            raise
        resources = ()
    for one in resources:
        if one.get("kind") == kind and one.get("namespaced") and "/" not in one["name"]:
            return Kind(api_version, kind, str(one["name"]))
    raise InvalidSpec(
        f"The cluster has no kind {kind} of {api_version}.",
        hint="Have its controller installed there, or correct apiVersion and kind in resource_args.kubernetes.",
    )
