"""The kinds of target, builder, registry and cloud environment, declared once as data.

The API, the configuration, the policy, the command line, the queue server, the workers and the documentation read this
declaration; a new kind is one module and one line here. Code is named by a dotted path (``package.module:Class``) and
imported by a worker alone, when it is chosen.
"""

import os
from collections.abc import Iterable, Iterator

import msgspec

#: Names runners that only tests may use: ``NAME=package.module:Class,...``. They are accepted, and not offered.
TEST_TARGETS_VARIABLE = "LAUNCHD_TEST_TARGETS"

LOCAL_PROCESS = "local-process"
LOCAL_CONTAINER = "local-container"
KUBERNETES = "kubernetes"
SAGEMAKER = "sagemaker"
VERTEX = "vertex"
#: Has a job's image built and nothing run; of agents that a program has for itself.
IMAGE_BUILD = "image-build"
AWS = "aws"
GCP = "gcp"
AZURE = "azure"
VENV = "venv"
LOCAL_REGISTRY = "local"
PLAIN_REGISTRY = "plain"


class Target(msgspec.Struct, frozen=True):
    """One kind of target: a place where jobs run, which W&B calls a resource.

    ``name`` is the word in a run spec, ``queue_type`` the word of a queue where that is another one. ``runner`` is the
    path of its runner, None while there is none. ``builders`` are the builders it takes, the usual one first;
    ``extra`` is the extra of this package that brings its SDK. ``watcher`` is the path of the function of the process
    that watches the target for all workers, None where each asks for itself. ``cloud`` is the word of the cloud that
    has the target. ``offered`` is False for what no submitter may name.
    """

    name: str
    runner: str | None = None
    builders: tuple[str, ...] = ()
    extra: str | None = None
    queue_type: str | None = None
    watcher: str | None = None
    cloud: str | None = None
    offered: bool = True

    @property
    def words(self) -> tuple[str, ...]:
        """The words for it, that of a queue first."""
        return (self.queue_type, self.name) if self.queue_type else (self.name,)

    @property
    def runs_images(self) -> bool:
        """Whether its jobs are images, built or given."""
        return any(builder in _MAKE_IMAGES for builder in self.builders)


class Builder(msgspec.Struct, frozen=True):
    """One way to make a project runnable.

    ``path`` is that of its class, None while there is none; ``extra`` the extra of this package that brings its tool;
    ``configurable`` whether it can be named by W&B's key ``builder.type``.
    """

    name: str
    path: str | None = None
    extra: str | None = None
    configurable: bool = True


class Registry(msgspec.Struct, frozen=True):
    """One kind of registry: the word of ``registry.type``, and the path of its class.

    ``extra`` is the extra of this package that brings its SDK; ``finds_address`` says that it can tell its address from
    the parts that the configuration has, by asking its cloud.
    """

    name: str
    path: str
    extra: str | None = None
    finds_address: bool = False


class Cloud(msgspec.Struct, frozen=True):
    """A cloud: the word of ``environment.type``, and that of ``registry.type`` for the registry it brings.

    ``path`` is that of the class of its environment, None while there is none; ``extra`` is the extra of this package
    that brings its SDK. ``service`` is the path of the function of the process that asks the cloud for all workers,
    where jobs run there; None where each worker asks for itself.
    """

    environment: str
    registry: str
    extra: str | None = None
    path: str | None = None
    service: str | None = None


_MAKE_IMAGES = ("docker", "buildah", "buildah-pod", "kaniko")
_IMAGE_BUILDERS = (*_MAKE_IMAGES, "noop")


def parse_test_targets(text: str) -> Iterator[Target]:
    """Yield the targets that :data:`TEST_TARGETS_VARIABLE` names."""
    for entry in filter(None, text.split(",")):
        name, _, path = entry.partition("=")
        yield Target(name, path, offered=False)


#: By name, in the order in which people are shown them.
TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(LOCAL_PROCESS, "workers.runners.local_process:LocalProcessRunner", (VENV,)),
        Target(
            LOCAL_CONTAINER,
            "workers.runners.local_container:LocalContainerRunner",
            _IMAGE_BUILDERS,
            extra="docker",
        ),
        Target(
            KUBERNETES,
            "workers.runners.kubernetes:KubernetesRunner",
            _IMAGE_BUILDERS,
            extra="kubernetes",
            watcher="workers.kubernetes.watcher:main",
        ),
        Target(SAGEMAKER, "workers.runners.sagemaker:SagemakerRunner", _IMAGE_BUILDERS, extra="aws", cloud=AWS),
        Target(
            VERTEX,
            "workers.runners.vertex:VertexRunner",
            _IMAGE_BUILDERS,
            extra="gcp",
            queue_type="gcp-vertex",
            cloud=GCP,
        ),
        Target(IMAGE_BUILD, "workers.runners.image_build:ImageBuildRunner", _MAKE_IMAGES, offered=False),
        *parse_test_targets(os.environ.get(TEST_TARGETS_VARIABLE, "")),
    )
}

BUILDERS: dict[str, Builder] = {
    builder.name: builder
    for builder in (
        Builder(VENV, "workers.builders.venv:VenvBuilder", extra="venv", configurable=False),
        Builder("docker", "workers.builders.docker:DockerBuilder", extra="docker"),
        Builder("buildah", "workers.builders.buildah:BuildahBuilder"),
        Builder("buildah-pod", "workers.builders.pods:BuildahPodBuilder", extra="kubernetes"),
        Builder("kaniko", "workers.builders.pods:KanikoBuilder", extra="kubernetes"),
        Builder("noop", "workers.builders.noop:NoopBuilder"),
    )
}

CLOUDS = (
    Cloud(
        AWS,
        "ecr",
        extra="aws",
        path="workers.environments.aws:AwsEnvironment",
        service="workers.aws.service:main",
    ),
    Cloud(
        GCP,
        "gcr",
        extra="gcp",
        path="workers.environments.gcp:GcpEnvironment",
        service="workers.gcp.service:main",
    ),
    Cloud(AZURE, "acr", extra="azure", path="workers.environments.azure:AzureEnvironment"),
)

REGISTRIES: dict[str, Registry] = {
    registry.name: registry
    for registry in (
        Registry("ecr", "workers.registries.ecr:EcrRegistry", extra="aws", finds_address=True),
        Registry("gcr", "workers.registries.gcr:GcrRegistry", extra="gcp", finds_address=True),
        Registry("acr", "workers.registries.acr:AcrRegistry", extra="azure"),
        Registry(LOCAL_REGISTRY, "workers.registries.local:LocalRegistry"),
        Registry(PLAIN_REGISTRY, "workers.registries.plain:PlainRegistry"),
    )
}

_OFFERED = tuple(target for target in TARGETS.values() if target.offered)

#: The types that a queue can be given; W&B's clients look before they ask.
QUEUE_TYPES = tuple(target.words[0] for target in _OFFERED)

#: Every word for a resource that people may write, those of queues first.
RESOURCES = (*QUEUE_TYPES, *(target.name for target in _OFFERED if target.queue_type))

#: The resources that an agent of this version runs.
RUNNABLE = tuple(target.name for target in _OFFERED if target.runner)

#: What runs a job where no resource is named.
DEFAULT_RESOURCE = LOCAL_PROCESS

#: The words of W&B's key ``builder.type``.
BUILDER_TYPES = tuple(builder.name for builder in BUILDERS.values() if builder.configurable)


def is_ours(module: str | None) -> bool:
    """Return whether a module of this name belongs to this package, and to no SDK of an extra."""
    return module is not None and module.partition(".")[0] in ("ipc", "launchd", "workers")


def find_target(word: str) -> Target | None:
    """Return the kind of target that ``word`` names, be it the word of a run spec or of a queue."""
    return next((target for target in TARGETS.values() if word in target.words), None)


def clouds_of(resources: Iterable[str]) -> tuple[Cloud, ...]:
    """Return the clouds that have the targets of these words, each once."""
    words = {target.cloud for word in resources if (target := find_target(word)) is not None}
    return tuple(cloud for cloud in CLOUDS if cloud.environment in words)


def choose_builder(resource: str, configured: str | None) -> str | None:
    """Return the builder for jobs of ``resource``: the configured one if the target takes it, else its usual one.

    None where the target takes no builder, or is not known.
    """
    target = find_target(resource)
    if target is None or not target.builders:
        return None
    return configured if configured in target.builders else target.builders[0]
