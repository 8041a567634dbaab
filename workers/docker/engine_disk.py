"""How full the disk is on which the engine keeps images and containers, where that is this host's."""

import os

from workers.docker.engine import Engine


def used_percent(engine: Engine, directory: str) -> float | None:
    """Return how full the disk with the engine's ``directory`` is, ``None`` where that is not this host's."""
    status = _status(engine, directory)
    if status is None:
        return None
    # As `df` has it: what is reserved for root counts as used.
    in_use = status.f_blocks - status.f_bfree
    return 100.0 * in_use / max(1, in_use + status.f_bavail)


def free_bytes(engine: Engine, directory: str) -> int | None:
    """Return how much room the disk with the engine's ``directory`` has, ``None`` where that is not this host's."""
    status = _status(engine, directory)
    return None if status is None else status.f_bavail * status.f_frsize


def _status(engine: Engine, directory: str) -> os.statvfs_result | None:
    if engine.socket_path is None or not directory:
        return None
    try:
        return os.statvfs(directory)
    except OSError:
        return None
