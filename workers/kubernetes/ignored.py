"""Keys of a manifest that the API passes over without a word, with what their writer may have meant. Pure."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from workers.kubernetes.arguments import AGENT_KEYS, Arguments
from workers.kubernetes.manifest import containers_of, pod_specs

#: The fields of a Job; what else stands beside them, the API ignores.
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


def ignored_keys(arguments: Arguments) -> Iterator[str]:
    """Yield what the manifest has without an effect."""
    spec = arguments.manifest.get("spec")
    if arguments.is_job:
        for key in arguments.manifest.keys() - set(_JOB_FIELDS):
            near = get_close_matches(key, (*AGENT_KEYS, *_JOB_FIELDS), n=1)
            yield f"{key} (did you mean {near[0]}?)" if near else key
        if type(spec) is dict:
            yield from (f"spec.{key} (it stands below spec.template.spec)" for key in _POD_FIELDS if key in spec)
            yield from _with_underscores(spec)
    for pod in pod_specs(spec):
        yield from _with_underscores(pod)
        for container in containers_of(pod):
            yield from _with_underscores(container)


def _with_underscores(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields that are written as Python does it; Kubernetes has none with an underscore here."""
    for key in fields:
        if "_" in key:
            first, *others = key.split("_")
            yield f"{key} (did you mean {first}{''.join(word.capitalize() for word in others)}?)"
