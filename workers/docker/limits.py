"""How much of the host a container may use: what its job asks for, held against ``launchd.policy.containers.limits``.

Pure functions over the fields of the Engine API. A job that asks for more is refused, one that asks for nothing gets
the limit.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ipc.policy_rules import ContainerLimits
from ipc.sizes import format_size
from workers.docker.values import size

_PLACE = "launchd.policy.containers.limits"
#: The engine's own, for ``/dev/shm``.
DEFAULT_SHARED_MEMORY = 64 << 20
_BILLION = 10**9
_DEFAULT_PERIOD = 100_000
#: The option of the engine's storage driver.
_SIZE = "size"


def refusals(config: Mapping[str, Any], limits: ContainerLimits) -> Iterator[str]:
    """Yield a sentence for each thing of which ``config``, the body of a request, asks for more than is granted."""
    host = config.get("HostConfig", {})
    yield from _refuse_memory(host, limits.memory)
    if limits.processors is not None and _processors(host) > limits.processors:
        yield _sentence("cpus", f"{_processors(host):g}", "processors", f"{limits.processors:g}")
    if limits.processes is not None and _is_over(host.get("PidsLimit"), limits.processes):
        yield _sentence("pids-limit", str(host["PidsLimit"]), "processes", str(limits.processes))
    if limits.shared_memory is not None and host.get("ShmSize", 0) > limits.shared_memory:
        yield _sentence("shm-size", _bytes(host["ShmSize"]), "shared_memory", _bytes(limits.shared_memory))
    yield from _refuse_disk(host, limits.disk)
    yield from _refuse_probes(config.get("Healthcheck", {}), limits.health_check_seconds)


def _refuse_memory(host: Mapping[str, Any], limit: int | None) -> Iterator[str]:
    """Yield why the memory that is asked for is too much; what a job takes for swap includes its memory."""
    if limit is None:
        return
    for flag, field in (("memory", "Memory"), ("memory-swap", "MemorySwap")):
        if field in host and _is_over(host[field], limit):
            yield _sentence(flag, _bytes(host[field]), "memory", _bytes(limit))


def _refuse_disk(host: Mapping[str, Any], limit: int | None) -> Iterator[str]:
    asked = _disk(host)
    if limit is not None and asked is not None and _is_over(asked, limit):
        yield _sentence("storage-opt size", _bytes(asked), "disk", _bytes(limit))


def _refuse_probes(health: Mapping[str, Any], least_seconds: float) -> Iterator[str]:
    for flag, field in (("health-interval", "Interval"), ("health-start-interval", "StartInterval")):
        nanoseconds = health.get(field, 0)
        if 0 < nanoseconds < least_seconds * _BILLION:
            yield (
                f"{flag} {nanoseconds / _BILLION:g}s is not granted on this host: each look is the engine's own work,"
                f" and there must be at least {least_seconds:g} s between two"
                f" ({_PLACE}.health_check_seconds in launch-config.yaml)."
            )


def _disk(host: Mapping[str, Any]) -> int | None:
    written = host.get("StorageOpt", {}).get(_SIZE)
    return None if written is None else size(written)


def _processors(host: Mapping[str, Any]) -> float:
    """Return how many processors are asked for, 0 where nothing is said."""
    quota: int = host.get("CpuQuota", 0)
    period: int = host.get("CpuPeriod") or _DEFAULT_PERIOD
    nano: int = host.get("NanoCpus", 0)
    return max(nano / _BILLION, quota / period if quota > 0 else 0.0)


def _is_over(asked: int | None, limit: int) -> bool:
    """Return whether a number is more than ``limit``; 0 and negative ones are the engine's words for no limit."""
    return asked is not None and (asked > limit or asked <= 0)


def with_limits(host: Mapping[str, Any], limits: ContainerLimits, processors: float | None = None) -> dict[str, Any]:
    """Return ``host``, a ``HostConfig`` that is granted, with the limits where its job asks for nothing.

    ``processors`` is how many the engine's host has, of which no container is given more; ``None`` where that is not
    known.
    """
    limited = dict(host)
    if limits.memory is not None:
        limited.setdefault("Memory", limits.memory)
        limited.setdefault("MemorySwap", limited["Memory"])
    if limits.processors is not None and not _processors(host):
        limited["NanoCpus"] = int(min(limits.processors, processors or limits.processors) * _BILLION)
        limited.pop("CpuQuota", None)
        limited.pop("CpuPeriod", None)
    if limits.processes is not None:
        limited.setdefault("PidsLimit", limits.processes)
    if limits.shared_memory is not None:
        limited.setdefault("ShmSize", min(limits.shared_memory, DEFAULT_SHARED_MEMORY))
    return limited


def with_disk(host: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Return a ``HostConfig`` whose storage driver holds the container to ``limit`` bytes."""
    return {**host, "StorageOpt": {**host.get("StorageOpt", {}), _SIZE: str(limit)}}


def _sentence(flag: str, asked: str, rule: str, limit: str) -> str:
    is_unlimited = asked == "0" or asked.startswith("-")
    how = "asks for no limit, and" if is_unlimited else f"{asked} is not granted on this host:"
    whose = "this host grants at most" if is_unlimited else "a job may have at most"
    return f"{flag} {how} {whose} {limit} ({_PLACE}.{rule} in launch-config.yaml)."


def _bytes(number: int) -> str:
    return format_size(number) if number > 0 else str(number)
