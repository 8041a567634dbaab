"""What a run spec says below ``resource_args.kubernetes``: where the job goes, and the manifest it brings.

The keys are those of W&B's queues; macros in texts are filled. Pure, but for variables of the host that are granted.
"""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from ipc.errors import InvalidSpec
from ipc.own_args import SECTION
from ipc.policy_rules import KubernetesRules
from ipc.run_spec import RunSpec
from ipc.settings import KubernetesConfig
from workers.kubernetes.access import Access
from workers.macros import filled, macros_of

KUBERNETES = "kubernetes"

#: Keys that say something to the agent, and nothing to the cluster.
AGENT_KEYS = ("namespace", "context", "configFile", "builder", "wait_for_ready", "wait_timeout", SECTION)

#: The fields of a Job; what else stands beside them, the API ignores without a word.
_JOB_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
#: Fields of a pod's spec that are often written into that of the Job, where the API ignores them as well.
_POD_FIELDS = (
    "affinity",
    "containers",
    "imagePullSecrets",
    "initContainers",
    "nodeSelector",
    "priorityClassName",
    "restartPolicy",
    "serviceAccountName",
    "tolerations",
    "volumes",
)

#: Without an ``apiVersion``, or with one of these, the manifest is a Job's.
JOB_VERSIONS = ("batch/v1", "batch/v1beta1")


class Arguments(msgspec.Struct, frozen=True):
    """What a job asks of Kubernetes. ``namespace`` of None is that of the access; ``manifest`` is what is sent there.

    ``config_file`` and ``context`` are those that the run spec names, None for the agent's.
    """

    manifest: dict[str, Any]
    namespace: str | None = None
    config_file: str | None = None
    context: str | None = None

    @property
    def is_job(self) -> bool:
        """Whether the manifest is that of a Job of Kubernetes' own."""
        return self.manifest.get("apiVersion", JOB_VERSIONS[0]) in JOB_VERSIONS

    def ignored(self) -> Iterator[str]:
        """Yield what a Job's manifest has without an effect, with what its writer may have meant."""
        if not self.is_job:
            return
        for key in self.manifest.keys() - set(_JOB_FIELDS):
            near = get_close_matches(key, (*AGENT_KEYS, *_JOB_FIELDS), n=1)
            yield f"{key} (did you mean {near[0]}?)" if near else key
        spec = self.manifest.get("spec")
        if type(spec) is dict:
            yield from (f"spec.{key} (it stands below spec.template.spec)" for key in _POD_FIELDS if key in spec)

    def access(self, settings: KubernetesConfig) -> Access:
        """Return the cluster that is meant."""
        if self.config_file is not None:
            return Access(self.config_file, self.context)
        return Access(settings.config_file, self.context or settings.context)


def read_arguments(
    spec: RunSpec, image: str, rules: KubernetesRules, host: Mapping[str, str] = os.environ
) -> Arguments:
    """Return the arguments of ``spec`` for a job of ``image``; raises :class:`InvalidSpec`."""
    given = spec.resource_args.get(KUBERNETES) or {}
    values = filled(given, macros_of(spec, image, rules.host_variables, host))
    manifest = {key: value for key, value in values.items() if key not in AGENT_KEYS}
    metadata = _mapping(manifest.get("metadata"), "metadata")
    return Arguments(
        manifest=manifest,
        namespace=_text(metadata.get("namespace"), "metadata.namespace") or _text(values.get("namespace"), "namespace"),
        config_file=_text(values.get("configFile"), "configFile"),
        context=_text(values.get("context"), "context"),
    )


def _mapping(value: Any, place: str) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case dict():
            return value
        case _:
            raise InvalidSpec(f"{place} in resource_args.kubernetes must be an object.")


def _text(value: Any, place: str) -> str | None:
    match value:
        case None | "":
            return None
        case str():
            return value
        case _:
            raise InvalidSpec(f"{place} in resource_args.kubernetes must be text.")
