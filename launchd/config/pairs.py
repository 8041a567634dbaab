"""What is missing beside what a configuration says, and what it says without an effect, across its sections.

Most of it is warned of, for an agent may start and run what needs none of it: a job that does fails, and says so too.
Pure functions, but for variables of W&B's agent.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from ipc.policy_rules import PolicyRules
from ipc.settings import BuilderConfig, EnvironmentConfig, RegistryConfig
from ipc.targets import CLOUDS, KUBERNETES, LOCAL_REGISTRY, SAGEMAKER
from launchd.config.diagnostics import Diagnostics
from launchd.config.images import push_target, registry_of
from launchd.config.model import AgentConfig

#: W&B's variables for what `launchd.kubernetes.code_claim` and `builds.claim` name.
_CODE_CLAIM = ("WANDB_LAUNCH_CODE_PVC_NAME", "WANDB_LAUNCH_CODE_PVC_MOUNT_PATH")
_BUILD_CLAIM = "WANDB_LAUNCH_KANIKO_PVC_NAME"

_IN_PODS = ("kaniko", "buildah-pod")
#: Keys of `builder`, and the builders on which they have an effect.
_KEYS_OF_BUILDERS = {
    "build_context_store": ("kaniko",),
    "secret_name": ("kaniko",),
    "secret_key": ("kaniko",),
    "kaniko_image": ("kaniko",),
    "build_job_name": _IN_PODS,
    "kaniko_config": _IN_PODS,
}
#: Where a registry's region comes from without an environment of its cloud.
_SETTINGS = {"ecr": "AWS (AWS_REGION)", "gcr": "Google Cloud (GOOGLE_CLOUD_REGION)"}
_STORES = {"s3": "aws", "gs": "gcp", "https": "azure"}

_WILL_FAIL = "jobs for which an image has to be built will fail"


def check(diagnostics: Diagnostics, config: AgentConfig, environ: Mapping[str, str]) -> None:
    """Refuse or warn of what does not fit together."""
    _check_claim(diagnostics, config, environ)
    found = (*_of_registry(config), *_of_builder(config, environ), *_of_policy(config))
    for name, sentence in dict.fromkeys(found):
        diagnostics.warn(name, sentence)


def _check_claim(diagnostics: Diagnostics, config: AgentConfig, environ: Mapping[str, str]) -> None:
    given = (config.launchd.kubernetes.code_claim, config.launchd.kubernetes.code_claim_directory)
    claim, directory = (value or environ.get(name) for value, name in zip(given, _CODE_CLAIM, strict=True))
    if any(given) and bool(claim) != bool(directory):
        why = "code_claim and code_claim_directory go together: give both or neither"
        diagnostics.refuse("launchd.kubernetes", None, why)


def _of_registry(config: AgentConfig) -> Iterator[tuple[str, str]]:
    registry = config.registry
    if registry is None or registry.type == LOCAL_REGISTRY:
        return
    if config.builder.destination is not None:
        yield "registry", "it has no effect, because builder.destination goes before it."
        return
    if registry.uri is not None:
        kind = registry_of(registry.uri)
        if kind is not None and registry.type not in (None, kind):
            yield (
                "registry.uri",
                f"this is an address of the type {kind}: write that, and not {registry.type}, or no type.",
            )
        return
    lacking = _lacking(registry)
    if lacking:
        yield "registry", f"it does not say where images go, so that {_WILL_FAIL}: set {lacking}."
        return
    yield from _of_region(registry, config.environment)


def _lacking(registry: RegistryConfig) -> str | None:
    """Return which settings a registry without an address lacks, ``None`` where it has all that it needs."""
    match registry.type:
        case "ecr" if not registry.repository:
            return "registry.repository, or builder.destination"
        case "gcr" if not (registry.repository and registry.image_name):
            return "registry.repository and registry.image-name, or builder.destination"
        case "ecr" | "gcr":
            return None
        case "acr":
            return "registry.uri: https://REGISTRY.azurecr.io/REPOSITORY"
        case None:
            return "registry.type (ecr, gcr or acr), or builder.destination"
        case _:
            return "registry.uri"


def _of_region(registry: RegistryConfig, environment: EnvironmentConfig | None) -> Iterator[tuple[str, str]]:
    cloud = next((one.environment for one in CLOUDS if one.registry == registry.type), None)
    if registry.region or (environment is not None and environment.type == cloud):
        return
    found = "there is none" if environment is None else f"it is {environment.type}"
    takes = f"the type {registry.type} takes its region from environment.type {cloud}, and {found}"
    usual = f"the usual settings of {_SETTINGS[str(registry.type)]} count"
    yield "registry", f"{takes}: {usual}, and where they name no region {_WILL_FAIL}."


def _of_builder(config: AgentConfig, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    builder = config.builder
    if builder.type in _IN_PODS and push_target(builder, config.registry, config.environment) is None:
        why = f"{builder.type} pushes what it builds, and no registry is named"
        yield "builder", f"{why}, so that {_WILL_FAIL}: set builder.destination."
    for key, builders in _KEYS_OF_BUILDERS.items():
        if _is_given(builder, key) and builder.type not in builders:
            name = key.replace("_", "-")
            yield f"builder.{name}", f"it has an effect with the builder {' or '.join(builders)} alone."
    has_claim = config.launchd.kubernetes.builds.claim or environ.get(_BUILD_CLAIM)
    if builder.type == "kaniko" and not (builder.build_context_store or has_claim):
        what = "without build-context-store, or a claim (launchd.kubernetes.builds.claim)"
        yield "builder", f"{what}, projects of more than 0.9 MB when packed are refused: kaniko gets them by a Secret."
    yield from _of_store(builder, config.environment)


def _is_given(builder: BuilderConfig, key: str) -> bool:
    return bool(getattr(builder, key) != getattr(BuilderConfig(), key))


def _of_store(builder: BuilderConfig, environment: EnvironmentConfig | None) -> Iterator[tuple[str, str]]:
    store = builder.build_context_store
    cloud = None if store is None else _STORES.get(store.partition("://")[0])
    if cloud is not None and environment is not None and environment.type != cloud:
        what = f"this is a store of {cloud}, and environment.type is {environment.type}"
        yield "builder.build-context-store", f"{what}: this host's usual credentials for {cloud} are used."


def _of_policy(config: AgentConfig) -> Iterator[tuple[str, str]]:
    policy = config.launchd.policy
    for queue in config.queues:
        prefix = f"launchd.policy.queues.{queue}" if queue in policy.queues else "launchd.policy"
        yield from _of_rules(prefix, policy.for_queue(queue), config)


def _of_rules(prefix: str, rules: PolicyRules, config: AgentConfig) -> Iterator[tuple[str, str]]:
    if SAGEMAKER in rules.resources and not rules.sagemaker.roles:
        yield (
            f"{prefix}.sagemaker.roles",
            "none is granted, so that every job for sagemaker is refused: name those of jobs.",
        )
    granted, namespace = rules.kubernetes.namespaces, config.launchd.kubernetes.namespace
    if (
        KUBERNETES in rules.resources
        and namespace is not None
        and not any(fnmatchcase(namespace, one) for one in granted)
    ):
        what = f"the agent's own, {namespace} (launchd.kubernetes.namespace), is not among them"
        yield f"{prefix}.kubernetes.namespaces", f"{what}: jobs that name no other are refused."
