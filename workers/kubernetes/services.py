"""Objects that a job has beside it, such as a database: W&B's ``additional_services`` (0.21.1).

They are there, and ready, before the job begins; they belong to its object and go with it. Their names are those of
their manifests, since jobs reach them by these.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

from ipc.errors import InvalidSpec, RunnerUnavailable, SubmitError
from ipc.run_spec import RunSpec
from ipc.work_order import WorkOrder
from workers.kubernetes.api import CONFLICT, NOT_FOUND, ApiRefusal, KubernetesApi
from workers.kubernetes.arguments import KUBERNETES
from workers.kubernetes.discovery import find_kind
from workers.kubernetes.forms import SERVICES, list_in, object_in, text_in
from workers.kubernetes.manifest import (
    KEY_VARIABLE,
    SECRET_KEY,
    Content,
    Object,
    pod_specs,
    require_form,
    secure,
    templates,
)
from workers.kubernetes.names import CREATED_BY_LABEL, MAX_NAME, RUN_LABEL, dns_name, label_value

#: By this label an object beside a job, and its pods, are known as its; those of the job itself do not have it.
SERVICE_LABEL = "launchd/service-of"
_AUXILIARY_LABEL = "wandb.ai/auxiliary-resource"
_CONFIG_VARIABLE = "WANDB_CONFIG"
_PAUSE_SECONDS = 1.0
#: How long the objects beside a job are waited for (W&B's).
USUAL_PATIENCE_SECONDS = 300.0
#: Of the limit of the phase, after which the worker itself would be taken to hang.
_SUBMIT_SHARE = 0.8


def read_patience(order: WorkOrder) -> float:
    """Return how long, in seconds, the objects beside a job are waited for, 0 for not at all (W&B's keys).

    It is less than what a worker has for submitting a job.

    Raises:
        InvalidSpec: ``wait_for_ready`` is neither true nor false, or ``wait_timeout`` is no number of seconds.
    """
    given = order.spec.resource_args.get(KUBERNETES) or {}
    waits, seconds = given.get("wait_for_ready", True), given.get("wait_timeout", USUAL_PATIENCE_SECONDS)
    if type(waits) is not bool or type(seconds) not in (int, float) or seconds <= 0:
        raise InvalidSpec(
            "wait_for_ready in resource_args.kubernetes must be true or false, and wait_timeout a number of seconds."
        )
    return min(float(seconds), _SUBMIT_SHARE * order.supervision.submit_timeout_seconds) if waits else 0.0


def service_objects(manifests: Iterable[Object], spec: RunSpec, content: Content) -> list[Object]:
    """Return the objects to create, with W&B's labels and variables; raises :class:`InvalidSpec`."""
    return [_service(manifest, spec, content) for manifest in manifests]


def _service(manifest: Object, spec: RunSpec, content: Content) -> Object:
    body = deepcopy(manifest)
    metadata = object_in(body, "metadata", SERVICES)
    if not (text_in(body, "apiVersion", SERVICES) and text_in(body, "kind", SERVICES) and metadata.get("name")):
        raise InvalidSpec("An object in additional_services lacks its apiVersion, its kind or its metadata.name.")
    require_form(body, SERVICES)
    labels = {
        SERVICE_LABEL: content.workload,
        RUN_LABEL: label_value(spec.run_id),
        CREATED_BY_LABEL: "launch-agent",
        _AUXILIARY_LABEL: label_value(f"aux-{spec.entity}-{spec.project}-{spec.run_id}"),
    }
    metadata |= {"name": dns_name(str(metadata["name"]))[:MAX_NAME].strip("-"), "namespace": content.namespace}
    for one in (body, *templates(body)):
        inner = one["metadata"] = object_in(one, "metadata", SERVICES)
        inner["labels"] = object_in(inner, "labels", SERVICES) | labels
    for pod in pod_specs(body):
        for container in pod["containers"]:
            container["env"] = [*list_in(container, "env", SERVICES), *_variables(content)]
    secure(body, own_security=content.own_security)
    return body


def _variables(content: Content) -> Iterator[Object]:
    yield {"name": _CONFIG_VARIABLE, "value": content.environment.get(_CONFIG_VARIABLE, json.dumps({}))}
    if KEY_VARIABLE in content.environment:
        reference = {"name": content.workload, "key": SECRET_KEY}
        yield {"name": KEY_VARIABLE, "valueFrom": {"secretKeyRef": reference}}


def create_services(api: KubernetesApi, services: Iterable[Object], workload: str) -> None:
    """Create what is not there yet.

    Raises:
        SubmitError: an object of the name is another job's.
        InvalidSpec: the cluster has no such kind.
        ApiRefusal: the cluster refuses one.
        RunnerUnavailable: it gives no answer.
    """
    for service in services:
        kind, metadata = find_kind(api, service), service["metadata"]
        try:
            api.create(kind.path(metadata["namespace"]), service)
        except ApiRefusal as refusal:
            if refusal.status != CONFLICT:
                raise
            if not _is_of(api.find(kind.path(metadata["namespace"], metadata["name"])), workload):
                raise SubmitError(
                    f"The cluster has a {kind.kind} {metadata['name']} already, and it is not this job's.",
                    hint="Write ${run_id} into the names in additional_services.",
                ) from refusal


def wait_until_ready(
    api: KubernetesApi, services: Iterable[Object], seconds: float, pause: Callable[[float], None]
) -> None:
    """Wait until all objects are ready for the job; raises :class:`SubmitError` after ``seconds``."""
    deadline = time.monotonic() + seconds
    for service in services:
        while not _is_ready(api, service):
            if time.monotonic() > deadline:
                name = f"{service['kind']} {service['metadata']['name']}"
                raise SubmitError(
                    f"The {name} in additional_services was not ready within {seconds:g} s.",
                    hint="See its pods in the cluster, or raise wait_timeout in resource_args.kubernetes.",
                )
            pause(_PAUSE_SECONDS)


def _is_ready(api: KubernetesApi, service: Object) -> bool:
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    found: Object = api.find(find_kind(api, service).path(namespace, name)) or {}
    status, spec = found.get("status") or {}, found.get("spec") or {}
    match service["kind"]:
        case "Deployment":
            return bool((status.get("readyReplicas") or 0) >= spec.get("replicas", 1))
        case "Pod":
            return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or ())
        case "Service":
            return not spec.get("selector") or _has_addresses(api, namespace, name)
        case _:
            return bool(found)


def _has_addresses(api: KubernetesApi, namespace: str, name: str) -> bool:
    endpoints: Object = api.find(f"/api/v1/namespaces/{namespace}/endpoints/{name}") or {}
    return any(subset.get("addresses") for subset in endpoints.get("subsets") or ())


def own_services(api: KubernetesApi, services: Iterable[Object], owner: Object) -> None:
    """Have the objects go with the job's; without it, they go when the job has ended."""
    for service in services:
        with suppress(ApiRefusal, RunnerUnavailable, InvalidSpec):
            path = find_kind(api, service).path(service["metadata"]["namespace"], service["metadata"]["name"])
            api.patch(path, {"metadata": {"ownerReferences": [owner]}})


def remove_services(api: KubernetesApi, services: Iterable[Object], workload: str) -> None:
    """Remove the objects, and none that is another job's; raises as :func:`create_services`."""
    for service in services:
        with suppress(InvalidSpec):
            path = find_kind(api, service).path(service["metadata"]["namespace"], service["metadata"]["name"])
            found = api.find(path)
            if _is_of(found, workload):
                _delete(api, path, found)


def _delete(api: KubernetesApi, path: str, found: Any) -> None:
    same = {"preconditions": {"uid": found["metadata"]["uid"]}, "propagationPolicy": "Background"}
    try:
        api.delete(path, same)
    except ApiRefusal as refusal:
        if refusal.status not in (NOT_FOUND, CONFLICT):
            raise


def _is_of(found: Object | None, workload: str) -> bool:
    labels = ((found or {}).get("metadata") or {}).get("labels") or {}
    return bool(labels.get(SERVICE_LABEL) == workload)
