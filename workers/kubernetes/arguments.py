"""What a run spec says below ``resource_args.kubernetes``: where the job goes, and the manifest it brings.

The keys are those of W&B's queues; macros in texts are filled. Pure, but for variables of the host that are granted.
"""

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from ipc.errors import InvalidSpec
from ipc.own_args import SECTION
from ipc.policy_rules import KubernetesRules
from ipc.run_spec import RunSpec
from ipc.settings import KubernetesConfig
from workers.kubernetes.access import Access
from workers.kubernetes.forms import object_in, text_in
from workers.macros import filled, macros_of

KUBERNETES = "kubernetes"

#: Keys that say something to the agent, and nothing to the cluster.
AGENT_KEYS = ("namespace", "context", "configFile", "builder", "wait_for_ready", "wait_timeout", SECTION)

_NAMESPACE_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_LONGEST_NAMESPACE = 63

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
    for key in ("apiVersion", "kind"):
        # What is empty says nothing.
        if text_in(manifest, key) is None:
            manifest.pop(key, None)
    return Arguments(
        manifest=manifest,
        namespace=_namespace(object_in(manifest, "metadata"), values),
        config_file=text_in(values, "configFile"),
        context=text_in(values, "context"),
    )


def _namespace(metadata: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
    """Return the namespace that is asked for; raises :class:`InvalidSpec` for what none can be called."""
    name = text_in(metadata, "namespace") or text_in(values, "namespace")
    # Each character is looked at: a pattern would be compiled by each worker anew.
    if name is not None and not (len(name) <= _LONGEST_NAMESPACE and set(name) <= _NAMESPACE_CHARACTERS):
        raise InvalidSpec(
            f"No namespace can be called {name!r}, as namespace in resource_args.kubernetes has it: a name is of small"
            " letters, digits and hyphens, 63 at most.",
            hint="Correct it in the queue's configuration, or in the job's resource args.",
        )
    return name
