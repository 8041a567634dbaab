"""What a handle says of a job in a cluster, and where its objects are. Pure."""

from typing import Any
from urllib.parse import quote

from ipc.handles import Handle
from workers.kubernetes.access import Access
from workers.kubernetes.arguments import KUBERNETES
from workers.kubernetes.discovery import JOBS, Kind

Object = dict[str, Any]


def handle_of(name: str, access: Access, kind: Kind, created: Object) -> Handle:
    """Return the handle of an object that was created, or found."""
    metadata = created["metadata"]
    data: dict[str, str | int] = {
        "namespace": metadata["namespace"],
        "object": metadata["name"],
        "uid": metadata["uid"],
        "api_version": kind.api_version,
        "kind": kind.kind,
        "plural": kind.plural,
    }
    if access.config_file is not None:
        data["config_file"] = access.config_file
    if access.context is not None:
        data["context"] = access.context
    return Handle(KUBERNETES, name, data=data)


def owner_of(handle: Handle) -> Object:
    """Return the reference by which other objects belong to the job's."""
    return {
        "apiVersion": handle.data["api_version"],
        "kind": handle.data["kind"],
        "name": handle.data["object"],
        "uid": handle.data["uid"],
    }


def access_of(handle: Handle) -> Access:
    """Return the cluster that the job is in."""
    config_file, context = handle.data.get("config_file"), handle.data.get("context")
    return Access(None if config_file is None else str(config_file), None if context is None else str(context))


def kind_of(handle: Handle) -> Kind:
    """Return the kind of the job's object."""
    return Kind(str(handle.data["api_version"]), str(handle.data["kind"]), str(handle.data["plural"]))


def path_of(handle: Handle) -> str:
    """Return the path of the job's object."""
    return kind_of(handle).path(str(handle.data["namespace"]), str(handle.data["object"]))


def is_job(handle: Handle) -> bool:
    """Return whether the job is a Job of Kubernetes' own."""
    return kind_of(handle) == JOBS


def pods_path(handle: Handle) -> str:
    """Return the path of the pods beside the job's object."""
    return f"/api/v1/namespaces/{quote(str(handle.data['namespace']), safe='')}/pods"


def secrets_path(namespace: str, name: str | None = None) -> str:
    """Return the path of the Secrets of a namespace, or of the one with this name."""
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets"
    return path if name is None else f"{path}/{name}"
