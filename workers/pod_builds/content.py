"""What a build in a pod is made of, as its manifest needs it. Pure."""

import hashlib
from copy import deepcopy
from typing import Any, Protocol

import msgspec

from ipc.agent_mark import agent_mark
from ipc.errors import HostError
from ipc.settings import BuilderConfig
from ipc.work_order import WorkOrder
from workers.kubernetes.names import object_name

Object = dict[str, Any]

#: By this label the Job of a build, its pods and its Secrets are told from all others.
BUILD_LABEL = "launchd/build"
#: The mark of the agent that builds; see ``ipc.agent_mark``.
BUILT_BY_LABEL = "launchd/built-by"
#: W&B's label.
WANDB_LABEL = "wandb"

#: Where the files of a build are in a pod.
CONTEXT_PLACE = "/context"
SECRETS_PLACE = "/run/secrets"

#: How long an ended build stays in a cluster where no agent removes it, in seconds.
KEEP_ENDED_SECONDS = 3600

_DIGITS = 16


class Files(msgspec.Struct, frozen=True):
    """Where the files of a build, one archive, are to be had.

    ``address`` is what kaniko is told. ``volume`` is mounted in the pod for it, and has the archive, or its parts,
    under names that begin with ``name``; None where the tool fetches it from a store. ``secrets`` are its parts.
    ``stored`` is what has to be removed in the end: an address in a store, or a path of this host.
    """

    address: str
    name: str
    volume: Object | None = None
    secrets: tuple[Object, ...] = ()
    stored: str | None = None


class Content(msgspec.Struct, frozen=True):
    """One build in a pod.

    ``reference`` is the whole name of the image, ``bases`` are those it is made from; ``insecure`` are registries that
    may speak plain HTTP, ``registry`` is the word of ``registry.type``. Names of Secrets: ``pull_secret`` and
    ``push_secret`` with credentials for registries, in whose place ``auth_secret`` is the administrator's own;
    ``settings_secret`` with the files ``settings`` for the build's steps; ``trust_secret`` with certificates of
    registries.
    """

    name: str
    namespace: str
    labels: dict[str, str]
    reference: str
    dockerfile: str
    files: Files
    config: BuilderConfig
    timeout_seconds: int
    bases: tuple[str, ...] = ()
    build_args: dict[str, str] = {}
    image_labels: dict[str, str] = {}
    insecure: tuple[str, ...] = ()
    pull_secret: str | None = None
    push_secret: str | None = None
    auth_secret: str | None = None
    settings_secret: str | None = None
    settings: tuple[str, ...] = ()
    trust_secret: str | None = None
    service_account: str | None = None
    image: str | None = None
    registry: str | None = None
    region: str | None = None

    @property
    def repository(self) -> str:
        """The image's name without its tag."""
        return self.reference.rpartition(":")[0]


class Kit(Protocol):
    """A tool that builds images in a pod.

    ``most_parts`` is the number of Secrets that its files may take. ``takes_stores`` says that it fetches them from
    stores of clouds, ``pulls_apart`` that it pulls base images in another container than the one that pushes.
    """

    tool: str
    most_parts: int
    takes_stores: bool
    pulls_apart: bool

    def job(self, content: Content) -> Object:
        """Return the Job to create; raises :class:`HostError` where the configuration's part of it has a wrong form."""
        ...


def build_name(order: WorkOrder, reference: str) -> str:
    """Return the name of the build of an image by this agent: the same for every job, of 63 characters at most.

    Raises:
        HostError: the configuration's part of the Job has a wrong form.
    """
    config = order.builder_config
    stem = str(_inner(dict(config.kaniko_config), "metadata").get("name") or config.build_job_name)
    digest = hashlib.sha256(f"{_mark(order)} {reference}".encode()).hexdigest()[:_DIGITS]
    return object_name(stem, digest)


def secret_prefix(name: str) -> str:
    """Return how the Secrets of a build begin: jobs may not name such ones; see ``workers.kubernetes.policy``."""
    return f"launchd-{name}"


def build_labels(order: WorkOrder, name: str) -> dict[str, str]:
    """Return the labels of everything that is made for a build."""
    return {BUILD_LABEL: name, BUILT_BY_LABEL: _mark(order), WANDB_LABEL: "launch"}


def _mark(order: WorkOrder) -> str:
    state_dir = order.directory.rpartition("/")[0].rpartition("/")[0]
    return agent_mark(state_dir or "/")


class Draft:
    """The administrator's part of a build's Job (W&B's ``kaniko-config``), taken apart to be filled in."""

    def __init__(self, content: Content) -> None:
        self.job: Object = deepcopy(dict(content.config.kaniko_config)) | {"apiVersion": "batch/v1", "kind": "Job"}
        self.metadata = _inner(self.job, "metadata")
        self.spec = _inner(self.job, "spec")
        self.template = _inner(self.spec, "template")
        self.pod_metadata = _inner(self.template, "metadata")
        self.pod = _inner(self.template, "spec")
        self.volumes = _items(self.pod, "volumes")
        containers = _items(self.pod, "containers") or [{}]
        if len(containers) > 1:
            raise HostError("builder.kaniko-config has several containers; a build in a pod has one.")
        self.container: Object = containers[0]
        self._fill(content)

    def _fill(self, content: Content) -> None:
        self.metadata |= {"name": content.name, "namespace": content.namespace}
        for metadata in (self.metadata, self.pod_metadata):
            metadata["labels"] = _inner(metadata, "labels") | content.labels
        self.spec.setdefault("backoffLimit", 0)
        self.spec.setdefault("ttlSecondsAfterFinished", KEEP_ENDED_SECONDS)
        self.pod.setdefault("restartPolicy", "Never")
        self.pod.setdefault("activeDeadlineSeconds", content.timeout_seconds)
        if content.service_account is not None:
            self.pod.setdefault("serviceAccountName", content.service_account)
        # Code of submitters runs here; what a cloud gives a pod to say who it is comes in another way.
        self.pod.setdefault("automountServiceAccountToken", False)

    def finish(self, *containers: Object, before: tuple[Object, ...] = ()) -> Object:
        """Return the Job with these containers, and with those that run before them, one after the other."""
        self.pod["volumes"] = self.volumes
        preparing = [*_items(self.pod, "initContainers"), *before]
        if preparing:
            self.pod["initContainers"] = preparing
        self.pod["containers"] = list(containers)
        return self.job


def mount(name: str, path: str, *, part: str | None = None) -> Object:
    """Return the mount of a volume that is only read; with ``part``, of one file of it."""
    return {"name": name, "mountPath": path, "readOnly": True} | ({} if part is None else {"subPath": part})


def secret_volume(name: str, secret: str, *items: Object) -> Object:
    """Return a volume with what is in a Secret; with ``items``, with these of it."""
    return {"name": name, "secret": {"secretName": secret} | ({"items": list(items)} if items else {})}


def _inner(parent: Object, key: str) -> Object:
    value = parent.get(key)
    if value is not None and type(value) is not dict:
        raise HostError(f"{key} in builder.kaniko-config must be a mapping.")
    inner: Object = parent.setdefault(key, {}) if value is None else value
    parent[key] = inner
    return inner


def _items(parent: Object, key: str) -> list[Object]:
    value = parent.get(key) or []
    if type(value) is not list or not all(type(one) is dict for one in value):
        raise HostError(f"{key} in builder.kaniko-config must be a list of mappings.")
    return list(value)


def items_of(container: Object, key: str) -> list[Object]:
    """Return a list of the administrator's container, such as its mounts."""
    return _items(container, key)
