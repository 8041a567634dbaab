"""Which of the free GPUs a job gets. Pure.

GPUs of one job are near each other (NVLink, then one node of memory); a job of one GPU takes the smallest that will do,
and one whose neighbours are not free anyway.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from ipc.gpus import Gpu, GpuRequest

_LINKED, _SAME_NODE, _SAME_KIND = 8, 2, 1


def choose(free: Sequence[Gpu], request: GpuRequest) -> tuple[Gpu, ...] | None:
    """Return the GPUs out of ``free`` for a request for some of them, in their order; ``None`` where they do not do.

    A request for all GPUs of a host depends on those that are not free, too: see :mod:`launchd.agent.gpus.pool`.
    """
    if request.devices:
        return _named(free, request)
    admitted = [gpu for gpu in free if request.admits(gpu.memory, gpu.is_instance)]
    count = len(admitted) if request.count is None else request.count
    if count == 0:
        return None
    groups = [_of_vendor(admitted, vendor) for vendor in sorted({gpu.vendor for gpu in admitted})]
    chosen = next((_nearest(group, count) for group in groups if len(group) >= count), None)
    if request.count is None:
        return tuple(admitted)
    return None if chosen is None else tuple(sorted(chosen, key=_order))


def has_enough(gpus: Sequence[Gpu], request: GpuRequest) -> bool:
    """Return whether these GPUs would do, were they free."""
    if request.devices:
        return _named(gpus, request) is not None
    admitted = [gpu for gpu in gpus if request.admits(gpu.memory, gpu.is_instance)]
    counts = Counter(gpu.vendor for gpu in admitted)
    return max(counts.values(), default=0) >= (request.count or 1)


def _named(free: Sequence[Gpu], request: GpuRequest) -> tuple[Gpu, ...] | None:
    found = [next((gpu for gpu in free if gpu.is_named(word)), None) for word in request.devices]
    gpus = [gpu for gpu in found if gpu is not None and request.admits(gpu.memory, gpu.is_instance)]
    return tuple(gpus) if len(gpus) == len(request.devices) == len({gpu.uuid for gpu in gpus}) else None


def _of_vendor(gpus: Iterable[Gpu], vendor: str) -> list[Gpu]:
    return [gpu for gpu in gpus if gpu.vendor == vendor]


def _nearest(gpus: Sequence[Gpu], count: int) -> list[Gpu]:
    """Return the best of the groups that grow from each GPU by the one that is nearest to those before."""
    if count == 1:
        return [min(gpus, key=lambda gpu: (gpu.memory, _nearness(gpu, gpus), _order(gpu)))]
    groups = [_grown(seed, gpus, count) for seed in gpus]
    return min(groups, key=lambda group: _quality(group, gpus))


def _grown(seed: Gpu, gpus: Sequence[Gpu], count: int) -> list[Gpu]:
    group, left = [seed], [gpu for gpu in gpus if gpu.uuid != seed.uuid]
    while len(group) < count:
        nearest = min(left, key=lambda gpu: (-_nearness(gpu, group), gpu.memory, _order(gpu)))
        group.append(nearest)
        left.remove(nearest)
    return group


def _quality(group: Sequence[Gpu], gpus: Sequence[Gpu]) -> tuple[int, int, int, list[tuple[int, int]]]:
    """Return what sorts the better group first: nearer, then smaller, then the one that tears less apart."""
    inside = sum(_nearness(gpu, group) for gpu in group)
    torn = sum(_nearness(gpu, gpus) for gpu in group) - inside
    return -inside, sum(gpu.memory for gpu in group), torn, sorted(map(_order, group))


def _nearness(gpu: Gpu, others: Iterable[Gpu]) -> int:
    return sum(_affinity(gpu, other) for other in others if other.uuid != gpu.uuid)


def _affinity(one: Gpu, other: Gpu) -> int:
    is_linked = other.uuid in one.linked
    same_node = one.numa is not None and one.numa == other.numa
    return _LINKED * is_linked + _SAME_NODE * same_node + _SAME_KIND * (one.name == other.name)


def _order(gpu: Gpu) -> tuple[int, int]:
    return gpu.index, -1 if gpu.instance is None else gpu.instance
