"""The policy of the configuration: rules for all queues and for single ones, from presets and keys of their own."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ipc.policy_rules import ContainerLimits, ContainerRules, KubernetesRules, PolicyRules, SagemakerRules, VertexRules
from launchd.config.diagnostics import Diagnostics
from launchd.config.keys import CONTAINER_LIMITS, CONTAINERS, KUBERNETES_RULES, POLICY, SAGEMAKER, VERTEX_RULES
from launchd.config.model import PolicyConfig
from launchd.config.presets import PRESETS
from launchd.config.section_reader import fill, mapping

#: Sections of the rules that have keys of their own.
_RULE_SECTIONS = ("containers", "kubernetes", "sagemaker", "vertex")

_USER_KEYS = frozenset({"run_as_user", "run_as_users"})

_ALL_QUEUES = "launchd.policy."

#: The rules that a section of the policy may leave out, by their names below it.
_RULES = (
    *(key for key in POLICY if key != "preset"),
    *(f"containers.{key}" for key in CONTAINERS),
    *(f"containers.limits.{key}" for key in CONTAINER_LIMITS),
    *(f"kubernetes.{key}" for key in KUBERNETES_RULES),
    *(f"vertex.{key}" for key in VERTEX_RULES),
    *(f"sagemaker.{key}" for key in SAGEMAKER),
)


def read_policy(diagnostics: Diagnostics, section: Any) -> PolicyConfig:
    """Read `launchd.policy`. A setting that the rules of a queue leave out is as for all queues."""
    values = _rules(diagnostics, _ALL_QUEUES, section, PolicyRules(), sections=("queues", *_RULE_SECTIONS))
    queues = section.get("queues") if isinstance(section, dict) else None
    common = PolicyRules(**values)
    rules = {
        str(queue): PolicyRules(
            **_joined(values, _rules(diagnostics, f"launchd.policy.queues.{queue}.", own, common, _RULE_SECTIONS))
        )
        for queue, own in mapping(diagnostics, "launchd.policy.queues", queues).items()
    }
    for name, given in {"launchd.policy": section, **_by_name(queues)}.items():
        if isinstance(given, dict) and given.keys() >= _USER_KEYS:
            diagnostics.refuse(name, None, "run_as_user and run_as_users exclude each other", "Leave one of them out.")
    return PolicyConfig(**values, queues=rules)


def _joined(general: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules of a queue. One user for its jobs replaces a range for all queues, and the other way round."""
    replaced = _USER_KEYS if _USER_KEYS & own.keys() else frozenset()
    return {name: value for name, value in general.items() if name not in replaced} | dict(own)


def _by_name(queues: Any) -> dict[str, Any]:
    return {f"launchd.policy.queues.{queue}": own for queue, own in queues.items()} if isinstance(queues, dict) else {}


def _rules(
    diagnostics: Diagnostics, prefix: str, section: Any, common: PolicyRules, sections: tuple[str, ...]
) -> dict[str, Any]:
    """Return the rules of `section` by field name: its preset's, and in their place its own.

    Those for a kind of target are complete; what neither names is as `common`.
    """
    own = fill(diagnostics, prefix, section, POLICY, sections)
    chosen = own.pop("preset", "")
    preset = PRESETS.get(chosen, {})
    given = section if isinstance(section, dict) else {}
    base = preset.get("containers", common.containers)
    rules = {
        **preset,
        **own,
        "vertex": _vertex(diagnostics, f"{prefix}vertex.", given.get("vertex"), preset.get("vertex", common.vertex)),
        "containers": _containers(diagnostics, f"{prefix}containers.", given.get("containers"), base),
        "kubernetes": _kubernetes_rules(diagnostics, f"{prefix}kubernetes.", section, preset, common),
        "sagemaker": _sagemaker(diagnostics, f"{prefix}sagemaker.", given.get("sagemaker"), common.sagemaker),
    }
    _derive(diagnostics, prefix, chosen, _USER_KEYS if _USER_KEYS & own.keys() else frozenset())
    return rules


def _vertex(diagnostics: Diagnostics, prefix: str, section: Any, base: VertexRules) -> VertexRules:
    return msgspec.structs.replace(base, **fill(diagnostics, prefix, section, VERTEX_RULES))


def _derive(diagnostics: Diagnostics, prefix: str, preset: str, replaced: frozenset[str]) -> None:
    """Record where the rules come from that a section leaves out: from its preset, else from those for all queues."""
    for key in _RULES:
        if key.partition(".")[0] in PRESETS.get(preset, {}):
            diagnostics.derive(f"{prefix}{key}", f"{prefix}preset", f"preset {preset}")
        elif prefix != _ALL_QUEUES and key not in replaced:
            diagnostics.derive(f"{prefix}{key}", f"{_ALL_QUEUES}{key}", f"{_ALL_QUEUES}{key}")


def _kubernetes_rules(
    diagnostics: Diagnostics, prefix: str, section: Any, preset: Mapping[str, Any], common: PolicyRules
) -> KubernetesRules:
    given = section.get("kubernetes") if isinstance(section, dict) else None
    base: KubernetesRules = preset.get("kubernetes", common.kubernetes)
    return msgspec.structs.replace(base, **fill(diagnostics, prefix, given, KUBERNETES_RULES))


def _containers(diagnostics: Diagnostics, prefix: str, section: Any, base: ContainerRules) -> ContainerRules:
    given = section.get("limits") if isinstance(section, dict) else None
    limits = msgspec.structs.asdict(base.limits) | fill(diagnostics, f"{prefix}limits.", given, CONTAINER_LIMITS)
    own = fill(diagnostics, prefix, section, CONTAINERS, sections=("limits",))
    return ContainerRules(**{**msgspec.structs.asdict(base), **own, "limits": ContainerLimits(**limits)})


def _sagemaker(diagnostics: Diagnostics, prefix: str, section: Any, base: SagemakerRules) -> SagemakerRules:
    return msgspec.structs.replace(base, **fill(diagnostics, prefix, section, SAGEMAKER))
