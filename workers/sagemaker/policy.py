"""What of a training job the administrator of this host has granted: ``launchd.policy.sagemaker``. Pure.

Strict: what no rule grants is refused, by the key that asked, the rule, and the file that would allow it.
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from ipc.policy_rules import SagemakerRules
from workers.sagemaker.asked import Asked

_PLACE = "launchd.policy.sagemaker"
#: How alike two names are of which one is a slip of the other.
_NEAR = 0.85

#: Fields that any job may set; others have a rule of their own, or go by ``fields``.
OPEN_FIELDS = frozenset(
    {
        "AlgorithmSpecification",
        "CheckpointConfig",
        "EnableInterContainerTrafficEncryption",
        "EnableManagedSpotTraining",
        "EnableNetworkIsolation",
        "Environment",
        "HyperParameters",
        "InputDataConfig",
        "OutputDataConfig",
        "ResourceConfig",
        "RetryStrategy",
        "RoleArn",
        "StoppingCondition",
        "Tags",
        "TensorBoardOutputConfig",
        "TrainingJobName",
        "VpcConfig",
    }
)

#: Inside an open field, the fields that go by ``fields``: they keep instances after the end, use what others have
#: reserved, or have a function run in the account.
CLOSED_INSIDE = {
    "ResourceConfig": ("KeepAlivePeriodInSeconds", "TrainingPlanArn", "InstancePlacementConfig"),
    "AlgorithmSpecification": ("TrainingImageConfig",),
}


def refusals(asked: Asked, rules: SagemakerRules, image: str | None) -> list[str]:
    """Return a sentence for each thing that is not granted; ``image`` is the image that the job would run."""
    return [*_patterns(asked, rules, image), *_fields(asked, rules), *_numbers(asked, rules)]


def _patterns(asked: Asked, rules: SagemakerRules, image: str | None) -> Iterator[str]:
    typed = asked.typed
    resources = typed.resource_config
    yield from _unmatched("RoleArn", [typed.role_arn], "roles", rules)
    yield from _unmatched("ResourceConfig.InstanceType", resources.types, "instance_types", rules)
    yield from _unmatched("the image", [image] if image else [], "images", rules)
    yield from _unmatched("the output address", asked.writes_to, "outputs", rules)
    yield from _unmatched("region", [asked.region] if asked.region else [], "regions", rules)
    yield from _unmatched("profile", [asked.profile] if asked.profile else [], "profiles", rules)
    yield from _unmatched("VpcConfig.Subnets", typed.vpc_config.subnets, "subnets", rules)
    yield from _unmatched("VpcConfig.SecurityGroupIds", typed.vpc_config.security_group_ids, "security_groups", rules)


def _unmatched(what: str, values: Sequence[str], rule: str, rules: SagemakerRules) -> Iterator[str]:
    granted: Sequence[str] = getattr(rules, rule)
    for value in values:
        if not any(fnmatchcase(value, pattern) for pattern in granted):
            yield _sentence(f"{what} {value}", rule, ", ".join(granted) or "none")


def _fields(asked: Asked, rules: SagemakerRules) -> Iterator[str]:
    for name in _closed(asked):
        if not any(fnmatchcase(name, pattern) for pattern in rules.fields):
            granted = ", ".join(rules.fields) or "none beyond the usual ones"
            yield _sentence(f"The field {name}{_perhaps(name)}", "fields", granted)


def _perhaps(name: str) -> str:
    near = get_close_matches(name, sorted(OPEN_FIELDS), n=1, cutoff=_NEAR)
    return f" (is {near[0]} meant?)" if near else ""


def _closed(asked: Asked) -> Iterator[str]:
    """Yield the names of the fields that a job sets and that are not open to every job."""
    for name, value in asked.fields.items():
        if name not in OPEN_FIELDS:
            yield name
        elif isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in CLOSED_INSIDE.get(name, ()) if inner in value)


def _numbers(asked: Asked, rules: SagemakerRules) -> Iterator[str]:
    resources, stopping = asked.typed.resource_config, asked.typed.stopping_condition
    yield from _over("ResourceConfig.InstanceCount", resources.count, "instances", rules.instances)
    yield from _over("ResourceConfig.VolumeSizeInGB", resources.volume_size, "volume_gib", rules.volume_gib)
    # Where a job names none, SageMaker's own is a day.
    seconds = stopping.max_runtime_in_seconds or 86400
    yield from _over("StoppingCondition.MaxRuntimeInSeconds", seconds, "runtime_seconds", rules.runtime_seconds)


def _over(what: str, value: int, rule: str, most: int) -> Iterator[str]:
    if value > most:
        yield _sentence(f"{what} {value}", rule, f"at most {most}")


def _sentence(what: str, rule: str, granted: str) -> str:
    text = f"{what} is not granted on this host, which grants: {granted} ({_PLACE}.{rule} in launch-config.yaml)."
    return text[0].upper() + text[1:]
