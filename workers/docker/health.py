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


def calmed(check: HealthCheck | None, least_seconds: float) -> dict[str, int]:
    """Return the fields of ``Healthcheck`` that are too short, as long as they have to be; empty where none is."""
    least = int(least_seconds * _SECOND)
    if check is None or not least or not check.test or check.test[0] == NO_PROBES:
        return {}
    pauses = {"Interval": check.interval, "StartInterval": check.start_interval}
    # That of an image made by hand may be below 0, which is no pause at all.
    return {field: least for field, pause in pauses.items() if pause and pause < least}


def warning(image: str, check: HealthCheck | None, asked: Mapping[str, Any], least_seconds: float) -> str | None:
    """Return a sentence where an image's pauses are too short and its job, which ``asked`` for others, keeps them."""
    short = calmed(check, least_seconds).keys() - asked.keys()
    if check is None or not short or asked.get("Test") == [NO_PROBES]:
        return None
    shortest = max(0, min(filter(None, (check.interval, check.start_interval)))) / _SECOND
    return (
        f"The image {image} has its health checked every {shortest:g} s; on this host that is done every"
        f" {least_seconds:g} s (launchd.policy.containers.limits.health_check_seconds)."
    )
