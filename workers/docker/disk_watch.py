"""Tells when a container has written more than it may, where the storage driver of the engine does not hold it."""

import time

from ipc.sizes import format_size
from workers.docker.engine import Container, Engine

#: Between two looks, in seconds: the engine walks through all that was written.
LOOK_SECONDS = 20.0


class DiskWatch:
    """The disk of one container, which may write ``limit`` bytes; ``None`` for no limit.

    What counts is its own file system, and the volumes that were made for it.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._next_look = 0.0

    def overuse(self, engine: Engine, container: Container) -> str | None:
        """Return how much the container has written, as a sentence, where that is more than it may; looks seldom."""
        if self._limit is None or time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + LOOK_SECONDS
        written = _written(engine, container)
        if written <= self._limit:
            return None
        return (
            f"The job was ended because it had written {format_size(written)} to its container's disk, more than"
            f" {format_size(self._limit)} (launchd.policy.containers.limits.disk)."
        )


def _written(engine: Engine, container: Container) -> int:
    is_held = "size" in (container.host.storage_opt or {})
    volumes = container.own_volumes
    on_layer = 0 if is_held else engine.written_bytes(container.id)
    return on_layer + (engine.volume_bytes(volumes) if volumes else 0)
