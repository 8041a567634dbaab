"""What of a job's request the administrator of this host has granted: ``launchd.policy.vertex``. Pure.

Strict: the fields that every job may set are listed here, and all others need a grant.
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ipc.policy_rules import VertexRules
from workers.docker.images import parse_image

_PLACE = "launchd.policy.vertex"
_EVERY = "*"

_JOB = frozenset({"worker_pool_specs", "base_output_directory", "scheduling", "service_account", "network"})
_POOL = frozenset({"container_spec", "machine_spec", "replica_count", "disk_spec"})
_CONTAINER = frozenset({"image_uri", "command", "args", "env"})


def refusals(request: Mapping[str, Any], bucket: str, own_image: str | None, rules: VertexRules) -> list[str]:
    """Return a sentence for each thing of a request that is not granted.

    ``bucket`` is its staging bucket, ``own_image`` an image that needs no grant, since the agent built it.
    """
    return [*filter(None, _judged(request, bucket, own_image, rules))]


def _judged(request: Mapping[str, Any], bucket: str, own_image: str | None, rules: VertexRules) -> Iterator[str | None]:
    job = request["job_spec"]
    pools = job["worker_pool_specs"]
    for image in (pool["container_spec"].get("image_uri") for pool in pools):
        if image != own_image:
            yield _refuse_image(image, rules)
    for place in dict.fromkeys((bucket, job["base_output_directory"]["output_uri_prefix"])):
        yield _refuse(f"The bucket {place}", place, "buckets", rules.buckets)
    for key, rule, granted in (
        ("service_account", "service_accounts", rules.service_accounts),
        ("network", "networks", rules.networks),
    ):
        if key in job:
            yield _refuse(f"{key} {job[key]}", job[key], rule, granted)
    for field in dict.fromkeys(_other_fields(request, job, pools)):
        yield _refuse(f"The field {field}", field, "fields", rules.fields)


def _other_fields(
    request: Mapping[str, Any], job: Mapping[str, Any], pools: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    if "encryption_spec" in request:
        yield "encryption_spec_key_name"
    yield from (key for key in job if key not in _JOB)
    for pool in pools:
        yield from (key for key in pool if key not in _POOL)
        yield from (key for key in pool["container_spec"] if key not in _CONTAINER)


def _refuse_image(image: Any, rules: VertexRules) -> str | None:
    if _EVERY in rules.images:
        return None
    if any(parse_image(str(image)).matches(pattern) for pattern in rules.images):
        return None
    return _sentence(f"The image {image}", "images", rules.images)


def _refuse(wanted: str, value: Any, rule: str, granted: Sequence[str]) -> str | None:
    if any(fnmatchcase(str(value), pattern) for pattern in granted):
        return None
    return _sentence(wanted, rule, granted)


def _sentence(wanted: str, rule: str, granted: Sequence[str]) -> str:
    only = ", ".join(granted) or "none"
    return f"{wanted} is not granted on this host, which grants: {only} ({_PLACE}.{rule} in launch-config.yaml)."
