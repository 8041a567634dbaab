"""Tells when a container has written more than it may, where the storage driver of the engine does not hold it.

The engine walks through all that was written, which takes it long where that is many files: a thread waits for it, and
asks again only after a multiple of that time, so that no job keeps the engine busy with its files.
"""

import logging
import random
import threading
import time

from ipc.errors import RunnerUnavailable
from ipc.sizes import format_size
from workers.docker.engine import Container, Engine, EngineError

log = logging.getLogger(__name__)

#: Between two looks at most, in seconds, where these are quick; at least half of it.
LOOK_SECONDS = 20.0
#: How many times as long as a look the pause after it is.
_PAUSE_FACTOR = 9
#: Files in a container that are the engine's own, outside of the container's file system; root in it may write to them.
_ENGINE_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")


class DiskWatch:
    """The disk of one container, which may write ``limit`` bytes; ``None`` for no limit.

    What counts is its own file system, the volumes that were made for it, and the files that the engine keeps for it.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._next_look = 0.0
        self._looking: threading.Thread | None = None
        self._written = 0

    def overuse(self, engine: Engine, container: Container) -> str | None:
        """Return how much the container had written at the last look, as a sentence, where that is more than it may.

        Does not wait for the engine.
        """
        if self._limit is None:
            return None
        if self._is_due():
            self._looking = threading.Thread(
                target=self._look, args=(engine.address, container), name="disk", daemon=True
            )
            self._looking.start()
        if self._written <= self._limit:
            return None
        return (
            f"The job was ended because it had written {format_size(self._written)} to its container's disk, more than"
            f" {format_size(self._limit)} (launchd.policy.containers.limits.disk)."
        )

    def _is_due(self) -> bool:
        is_looking = self._looking is not None and self._looking.is_alive()
        return not is_looking and time.monotonic() >= self._next_look

    def _look(self, address: str, container: Container) -> None:
        began = time.monotonic()
        engine = Engine(address)
        try:
            self._written = _written(engine, container)
        except (EngineError, RunnerUnavailable) as error:
            # Engines up to version 20 answer one such question at a time.
            log.info("What a container has written is not known.", extra={"error": str(error)})
        finally:
            engine.close()
            now = time.monotonic()
            # Not all workers at the same moment.
            self._next_look = now + max(LOOK_SECONDS * random.uniform(0.5, 1), _PAUSE_FACTOR * (now - began))  # noqa: S311


def _written(engine: Engine, container: Container) -> int:
    is_held = "size" in (container.host.storage_opt or {})
    volumes = container.own_volumes
    on_layer = 0 if is_held else engine.written_bytes(container.id)
    in_volumes = engine.volume_bytes(volumes) if volumes else 0
    return on_layer + in_volumes + sum(engine.file_bytes(container.id, path) for path in _ENGINE_FILES)
