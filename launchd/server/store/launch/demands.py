"""What items ask for in GPUs, and what is left of an agent's GPUs once some are given or held back. Pure.

A demand is a text: the canonical JSON of a `GpuRequest`, so that items that ask for the same have the same demand;
`NONE` asks for no GPU. What the agent will choose is its own affair (NVLink, NUMA), so what is left is what is left in
any case: the next claim, which follows at once, says it exactly.
"""

import functools

import msgspec

from ipc.gpus import GpuKind, GpuRequest, GpuSummary

_decoder = msgspec.json.Decoder(GpuRequest)

NONE = ""
"""The demand of an item without GPUs."""


def encode(request: GpuRequest) -> str:
    """The demand of this request. Docker's capabilities are left out: any GPU has them."""
    return msgspec.json.encode(msgspec.structs.replace(request, capabilities=())).decode()


@functools.lru_cache(maxsize=4096)
def decode(demand: str) -> GpuRequest:
    """The request of a demand that is not `NONE`."""
    return _decoder.decode(demand)


def left_after(gpus: GpuSummary, request: GpuRequest) -> GpuSummary:
    """The GPUs that are free in any case after the request, which fits, was given some of them."""
    return _reduced(gpus, request, request.count)


def held_back(gpus: GpuSummary, request: GpuRequest) -> GpuSummary:
    """The free GPUs without those that the request, which does not fit yet, waits for."""
    free_names = len(set(request.devices) & set(gpus.free_devices))
    return _reduced(gpus, request, free_names if request.devices else None)


def usable(gpus: GpuSummary) -> GpuSummary:
    """The host as if there were only those that are not set aside: a broken GPU must not keep the others idle."""
    return msgspec.structs.replace(
        gpus, kinds=tuple(msgspec.structs.replace(kind, total=kind.usable) for kind in gpus.kinds)
    )


def compete(gpus: GpuSummary, one: GpuRequest, other: GpuRequest) -> bool:
    """Whether a GPU that is free now could be given for either request."""
    if one.devices and other.devices:
        return not set(one.devices).isdisjoint(other.devices)
    return any(kind.free and _admits(one, kind) and _admits(other, kind) for kind in gpus.kinds)


def _reduced(gpus: GpuSummary, request: GpuRequest, count: int | None) -> GpuSummary:
    """Without `count` free GPUs of each kind that can be meant; None: without any. Their names are not known."""
    kinds = tuple(
        msgspec.structs.replace(kind, free=0 if count is None else max(0, kind.free - count))
        if _admits(request, kind)
        else kind
        for kind in gpus.kinds
    )
    return msgspec.structs.replace(gpus, kinds=kinds, free_devices=())


def _admits(request: GpuRequest, kind: GpuKind) -> bool:
    return request.admits(kind.memory, kind.is_instance)
