"""GPUs of tests, as an agent knows them."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from ipc.gpu_probe import GpuSample, SeenGpu
from ipc.gpus import Gpu

GIB = 1 << 30


def a_gpu(index: int, memory_gib: int = 80, **fields: Any) -> Gpu:
    return Gpu(**{"uuid": f"GPU-{index}", "name": "H100", "memory": memory_gib * GIB, "index": index} | fields)


def an_instance(parent: int, number: int, memory_gib: int = 10) -> Gpu:
    return a_gpu(
        parent,
        memory_gib,
        uuid=f"MIG-{parent}-{number}",
        name=f"MIG {memory_gib}g",
        parent=f"GPU-{parent}",
        instance=number,
    )


def linked(gpus: Sequence[Gpu], *groups: Sequence[int]) -> list[Gpu]:
    """Return the GPUs with NVLink within each group of indexes."""
    return [
        replace(
            gpu,
            linked=tuple(
                f"GPU-{other}" for group in groups if gpu.index in group for other in group if other != gpu.index
            ),
        )
        for gpu in gpus
    ]


def a_sample(gpus: Sequence[Gpu | SeenGpu], answers: int = 0) -> GpuSample:
    return GpuSample(tuple(one if type(one) is SeenGpu else SeenGpu(one) for one in gpus), answers)  # type: ignore[arg-type]
