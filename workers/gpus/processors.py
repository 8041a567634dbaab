"""The processors of a job with GPUs: those that are near to all of them, on a host where that makes a difference."""

from collections.abc import Sequence
from pathlib import Path

from ipc.gpus import Gpu

_NODES = Path("/sys/devices/system/node")


def near_processors(gpus: Sequence[Gpu], node_count: int | None = None) -> str | None:
    """Return the processors that all ``gpus`` are near to, as the kernel lists them; ``None`` for any.

    ``node_count`` is how many nodes of memory the host has, None to count them.
    """
    near = {(gpu.numa, gpu.processors) for gpu in gpus if gpu.numa is not None and gpu.processors is not None}
    if len(near) != 1 or any(gpu.numa is None for gpu in gpus):
        return None
    count = len(list(_NODES.glob("node[0-9]*"))) if node_count is None else node_count
    ((_, processors),) = near
    return processors if count > 1 else None


def parse_processors(text: str) -> set[int]:
    """Return the numbers in the kernel's list of processors (``0-15,32-47``); raises ``ValueError``."""
    numbers: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers
