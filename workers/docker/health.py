"""How often an engine looks after the health of a container: each probe is a process that it starts by its own work.

What an engine does for a probe counts for none of the container's limits, so that its pauses have a limit of their own.
Pure.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

_SECOND = 10**9
#: As the test of a container without probes.
NO_PROBES = "NONE"


class HealthCheck(msgspec.Struct, frozen=True, rename="pascal"):
    """``Healthcheck`` of a container, its image's where its job says nothing else; pauses are in nanoseconds.

    A pause of 0 is the engine's own, of 30 seconds, and of 5 while the container starts. Without a ``test`` there are
    no probes.
    """

    test: list[str] | None = None
    interval: int = 0
    start_interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0

    @property
    def has_probes(self) -> bool:
        """Whether the engine looks at all."""
        return bool(self.test and self.test[0] != NO_PROBES)


def calmed(check: HealthCheck | None, least_seconds: float) -> HealthCheck | None:
    """Return ``check`` with pauses that are long enough; ``None`` where they are so already."""
    least = int(least_seconds * _SECOND)
    if check is None or not least or not check.has_probes:
        return None
    raised = msgspec.structs.replace(
        check, interval=_raised(check.interval, least), start_interval=_raised(check.start_interval, least)
    )
    return None if raised == check else raised


def _raised(pause: int, least: int) -> int:
    # That of an image made by hand may be below 0, which is no pause at all.
    return max(pause, least) if pause else 0


def warning(image: str, check: HealthCheck | None, asked: Mapping[str, Any], least_seconds: float) -> str | None:
    """Return a sentence where an image's pauses are too short and its job, which ``asked`` for others, keeps them."""
    if check is None or not check.has_probes or asked.get("Test") == [NO_PROBES]:
        return None
    pauses = {"Interval": check.interval, "StartInterval": check.start_interval}
    kept = [pause for field, pause in pauses.items() if pause and field not in asked]
    shortest = max(0, min(kept, default=0)) / _SECOND
    if not kept or shortest >= least_seconds:
        return None
    return (
        f"The image {image} has its health checked every {shortest:g} s; on this host that is done every"
        f" {least_seconds:g} s (launchd.policy.containers.limits.health_check_seconds)."
    )
