"""GPUs as agents tell them, and run specs that ask for some."""

from collections.abc import Sequence
from typing import Any

GIB = 1 << 30


def kind(free: int, total: int, *, memory: int = 80, name: str = "A100", instances: bool = False) -> dict[str, Any]:
    """GPUs that are alike, of so many GiB each."""
    return {
        "name": name,
        "memory": memory * GIB,
        "free": free,
        "usable": total,
        "total": total,
        "vendor": "nvidia",
        "isInstance": instances,
    }


def offer(
    version: int, *kinds: dict[str, Any], devices: Sequence[str] = (), free: Sequence[str] = ()
) -> dict[str, Any]:
    """What an agent tells for the so manieth time."""
    return {"version": version, "kinds": list(kinds), "devices": list(devices), "freeDevices": list(free)}


def spec(gpus: object, *, memory: str | None = None, resource: str = "local-process") -> dict[str, Any]:
    """A run spec that asks for these GPUs, each with so much memory."""
    asked: dict[str, Any] = {"gpus": gpus} if memory is None else {"gpus": gpus, "gpu_memory": memory}
    return {"project": "p", "resource": resource, "resource_args": {resource: {"launchd": asked}}}
