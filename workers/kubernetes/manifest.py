"""The object that is created for a job, made of what its queue and its submitter say, as W&B's agent does it. Pure.

A Job gets what W&B's agent (0.20.1) gives it; an object of any other kind gets the variables, the labels and the
command of the job in each of its containers.
"""

import posixpath
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import msgspec

from ipc.errors import InvalidSpec
from workers.kubernetes.arguments import JOB_VERSIONS, Arguments
from workers.kubernetes.forms import ARGUMENTS, list_in, object_in, objects_in
from workers.kubernetes.names import object_name

Object = dict[str, Any]

#: The key of a Secret in which the job's own key lies, and the variable that holds it in the job.
SECRET_KEY = "password"  # noqa: S105 (the name of a field)
KEY_VARIABLE = "WANDB_API_KEY"
RUN_VARIABLE = "WANDB_RUN_ID"

#: What a container may do at most, where the policy does not grant another `securityContext` (W&B's, 0.28.1).
SECURITY_CONTEXT = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

#: How long an ended Job stays where nothing says otherwise, in seconds; an agent that is back by then knows its end.
KEEP_ENDED_SECONDS = 86400

#: Where a job's files are that no image has, and what they are called (W&B's, 0.26.0).
CODE_PLACE = "/mnt/wandb"
CODE_VOLUME, CODE_CONTAINER = "wandb-source-code-volume", "wandb-source-code-init"
CODE_ARCHIVE_VOLUME = "launchd-source-code"
_ARCHIVE_PLACE = "/launchd-source-code"
_UNPACK = f"cat {_ARCHIVE_PLACE}/* | tar -xz --no-same-owner -C {CODE_PLACE} -f -; chmod -R a+rwX {CODE_PLACE} || true"

_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")


class Code(msgspec.Struct, frozen=True):
    """A job's files that are in no image: an archive, or its parts, in the source ``volume``, below ``sub_path``.

    ``image`` unpacks it, with a shell and tar; ``place`` is the path within the files in which the job runs.
    """

    volume: Object
    image: str
    place: str = ""
    sub_path: str | None = None


class Content(msgspec.Struct, frozen=True):
    """What a job brings to its manifest.

    ``image`` replaces that of the manifest where ``image_is_given``, and stands in for a missing one otherwise.
    ``entry_point`` replaces the command of a container where ``entry_point_is_given``, and stands in for a missing one
    otherwise. ``own_security`` says that the manifest may bring its own `securityContext`. ``pull_secret`` is the name
    of a Secret to pull the images with. ``code`` is what no image has of the job.
    """

    workload: str
    stem: str
    namespace: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    image: str | None = None
    image_is_given: bool = False
    entry_point: tuple[str, ...] = ()
    entry_point_is_given: bool = False
    args: tuple[str, ...] = ()
    own_security: bool = False
    pull_secret: str | None = None
    code: Code | None = None


def workload_object(arguments: Arguments, content: Content) -> Object:
    """Return the object to create; raises :class:`InvalidSpec` where the manifest has a wrong form, or no image."""
    return _job(arguments, content) if arguments.is_job else _custom(arguments, content)


def pod_specs(value: Any) -> Iterator[Object]:
    """Yield every pod's spec in a manifest: what has a list of containers."""
    match value:
        case dict():
            if type(value.get("containers")) is list:
                yield value
            for inner in value.values():
                yield from pod_specs(inner)
        case list():
            for inner in value:
                yield from pod_specs(inner)
        case _:
            pass


def containers_of(pod: Object) -> Iterator[Object]:
    """Yield the containers of a pod's spec, those that prepare it included."""
    for name in _CONTAINER_LISTS:
        given = pod.get(name)
        yield from (one for one in (given if type(given) is list else ()) if type(one) is dict)


def require_form(body: Object, where: str = ARGUMENTS) -> None:
    """Raise :class:`InvalidSpec` where a pod in a manifest has containers or variables of a wrong form."""
    for pod in pod_specs(body):
        for name in _CONTAINER_LISTS:
            for container in objects_in(pod, name, where):
                list_in(container, "env", where)


def _job(arguments: Arguments, content: Content) -> Object:
    body = {"apiVersion": JOB_VERSIONS[0], "kind": "Job"} | deepcopy(arguments.manifest)
    spec: Object = {"backoffLimit": 0, "ttlSecondsAfterFinished": KEEP_ENDED_SECONDS} | object_in(body, "spec")
    body["spec"] = spec
    spec["template"] = object_in(spec, "template")
    pod: Object = {"restartPolicy": "Never"} | object_in(spec["template"], "spec")
    spec["template"]["spec"] = pod
    containers = pod["containers"] = _containers(pod)
    require_form(body)
    _name(body, content)
    for number, container in enumerate(containers):
        container.setdefault("name", f"launch{number}")
    _set_image(containers, content)
    for container in containers:
        _set_command(container, content)
        _add_variables(container, content, content.environment)
    if content.code is not None:
        _mount_code(pod, content.code)
    _add_pull_secret(body, content)
    _label_pods(body, content)
    secure(body, own_security=content.own_security)
    return body


def _custom(arguments: Arguments, content: Content) -> Object:
    body = deepcopy(arguments.manifest)
    if not body.get("kind"):
        raise InvalidSpec(
            f"resource_args.kubernetes has the apiVersion {body['apiVersion']} and no kind.",
            hint="Write the kind of the object, PyTorchJob for instance.",
        )
    require_form(body)
    _name(body, content)
    is_first = True
    for pod in pod_specs(body):
        for container in pod["containers"]:
            _override_command(container, content)
            without_run = {name: text for name, text in content.environment.items() if name != RUN_VARIABLE}
            _add_variables(container, content, content.environment if is_first else without_run)
            is_first = False
    _add_pull_secret(body, content)
    _label_pods(body, content)
    secure(body, own_security=content.own_security)
    return body


def _containers(pod: Object) -> list[Object]:
    if pod.get("containers") is None:
        return [{}]
    given = objects_in(pod, "containers")
    if not given:
        raise InvalidSpec("containers in resource_args.kubernetes must be a list of objects.")
    return given


def _name(body: Object, content: Content) -> None:
    metadata = body["metadata"] = object_in(body, "metadata")
    stem = str(metadata.get("name") or metadata.pop("generateName", None) or content.stem)
    metadata.pop("generateName", None)
    metadata["name"] = object_name(stem, content.workload)
    metadata["namespace"] = content.namespace
    metadata["labels"] = object_in(metadata, "labels") | dict(content.labels)


def _set_image(containers: list[Object], content: Content) -> None:
    if content.image and (content.image_is_given or not any(one.get("image") for one in containers)):
        containers[0]["image"] = content.image
    nameless = next((one for one in containers if not one.get("image")), None)
    if nameless is not None:
        raise InvalidSpec(
            f"The container {nameless['name']} has no image.",
            hint="Name one in the queue's configuration, or launch an image or code that one is built of.",
        )


def _set_command(container: Object, content: Content) -> None:
    if content.args:
        container["args"] = list(content.args)
    if content.entry_point and (content.entry_point_is_given or not container.get("command")):
        container["command"] = list(content.entry_point)


def _override_command(container: Object, content: Content) -> None:
    if content.args:
        container["args"] = list(content.args)
    if content.entry_point_is_given:
        container["command"] = list(content.entry_point)


def _add_variables(container: Object, content: Content, variables: Mapping[str, str]) -> None:
    """Add the job's variables behind those of the container; its key is read from its Secret."""
    container["env"] = [
        *list_in(container, "env"),
        *(_variable(name, text, content) for name, text in variables.items()),
    ]


def _variable(name: str, text: str, content: Content) -> Object:
    if name == KEY_VARIABLE:
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": content.workload, "key": SECRET_KEY}}}
    return {"name": name, "value": text}


def _add_pull_secret(body: Object, content: Content) -> None:
    """Have each pod pull its images with the Secret too; W&B's agent replaces those of the manifest."""
    if content.pull_secret is None:
        return
    for pod in pod_specs(body):
        pod["imagePullSecrets"] = [*list_in(pod, "imagePullSecrets"), {"name": content.pull_secret}]


def _mount_code(pod: Object, code: Code) -> None:
    """Have a container unpack the job's files before all others, which find them where W&B's agent has them."""
    mount = {"name": CODE_VOLUME, "mountPath": CODE_PLACE}
    for container in pod["containers"]:
        container["volumeMounts"] = [*list_in(container, "volumeMounts"), mount]
        container.setdefault("workingDir", posixpath.normpath(posixpath.join(CODE_PLACE, code.place)))
    packed = {"name": CODE_ARCHIVE_VOLUME, "mountPath": _ARCHIVE_PLACE, "readOnly": True}
    if code.sub_path is not None:
        packed["subPath"] = code.sub_path
    unpack = {
        "name": CODE_CONTAINER,
        "image": code.image,
        "command": ["/bin/sh", "-ec", _UNPACK],
        "volumeMounts": [mount, packed],
    }
    pod["initContainers"] = [unpack, *list_in(pod, "initContainers")]
    volumes = [{"name": CODE_VOLUME, "emptyDir": {}}, {"name": CODE_ARCHIVE_VOLUME, **code.volume}]
    pod["volumes"] = [*list_in(pod, "volumes"), *volumes]


def _label_pods(body: Object, content: Content) -> None:
    """Put the labels on what every pod is made of, so that it is found by them."""
    for template in templates(body):
        metadata = template["metadata"] = object_in(template, "metadata")
        metadata["labels"] = object_in(metadata, "labels") | dict(content.labels)


def templates(value: Any) -> Iterator[Object]:
    """Yield what pods are made of: what has a spec with containers."""
    match value:
        case dict():
            spec = value.get("spec")
            if type(spec) is dict and type(spec.get("containers")) is list:
                yield value
            for inner in value.values():
                yield from templates(inner)
        case list():
            for inner in value:
                yield from templates(inner)
        case _:
            pass


def secure(body: Object, *, own_security: bool) -> None:
    """Have each container do no more than it may without a grant; its manifest cannot say otherwise."""
    for pod in pod_specs(body):
        for container in containers_of(pod):
            if own_security:
                container.setdefault("securityContext", deepcopy(SECURITY_CONTEXT))
            else:
                container["securityContext"] = deepcopy(SECURITY_CONTEXT)
