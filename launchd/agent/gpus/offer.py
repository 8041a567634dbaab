"""What is free of GPUs, shared out among jobs in their order. Pure but for what it was given."""

from collections.abc import Sequence

from ipc.gpus import Gpu, GpuRequest
from launchd.agent.gpus.pool import GpuPool


class Offer:
    """The GPUs in ``free``, each taken once; what a job that came earlier can use is kept for it."""

    def __init__(self, pool: GpuPool, free: Sequence[Gpu]) -> None:
        self._pool = pool
        self._free = list(free)
        self._refused: set[GpuRequest] = set()

    def take(self, request: GpuRequest) -> tuple[Gpu, ...] | None:
        """Return the GPUs for the next job; ``None`` where it has to wait, and what it can use is kept for it."""
        if request in self._refused:
            return None
        gpus = self._pool.find(self._free, request) if self._free else None
        if gpus is None:
            self._refused.add(request)
            self._free = _without_kept(self._free, request)
        else:
            self._free = _without_taken(self._free, gpus)
        return gpus


def _without_taken(free: Sequence[Gpu], taken: Sequence[Gpu]) -> list[Gpu]:
    """Return what is left once ``taken`` are: an instance takes its GPU along, and a GPU its instances."""
    gone = {gpu.uuid for gpu in taken} | {gpu.parent for gpu in taken if gpu.parent}
    whole = {gpu.uuid for gpu in taken}
    return [gpu for gpu in free if gpu.uuid not in gone and gpu.parent not in whole]


def _without_kept(free: Sequence[Gpu], request: GpuRequest) -> list[Gpu]:
    """Return what is left of the free GPUs for later jobs: without those that a job which waits can use."""
    if request.devices:
        return [gpu for gpu in free if not any(gpu.is_named(word) for word in request.devices)]
    return [gpu for gpu in free if not request.admits(gpu.memory, gpu.is_instance)]
