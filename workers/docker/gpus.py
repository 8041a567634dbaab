"""What a container needs of the Engine API to see the GPUs of its job, and no other ones. Pure."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from ipc.gpus import AMD, NVIDIA, Gpu, GpuRequest
from workers.gpus.processors import near_processors
from workers.gpus.variables import VOID, gpu_variables

#: How the Container Device Interface (CDI) calls a GPU of NVIDIA.
CDI_PREFIX = "nvidia.com/gpu="


class ContainerGpus(msgspec.Struct, frozen=True):
    """Entries of the request that creates a container; ``variables`` are set last.

    ``processors`` are those that are near to the GPUs, None for all.
    """

    device_requests: list[dict[str, Any]]
    devices: list[dict[str, Any]]
    variables: dict[str, str]
    processors: str | None = None


def container_gpus(
    gpus: Sequence[Gpu], request: GpuRequest | None, cdi_names: Collection[str], node_count: int | None = None
) -> ContainerGpus:
    """Return what gives ``gpus``, which may be none, to a container.

    ``request`` says which parts of the driver are asked for. ``cdi_names`` are the names of devices that the engine
    knows by CDI: where all of NVIDIA's are among them, they are asked for so, otherwise by UUID through the engine's
    own driver. ``node_count`` is how many nodes of memory the host has, None to count them.
    """
    nvidia = [gpu for gpu in gpus if gpu.vendor == NVIDIA]
    amd = [gpu for gpu in gpus if gpu.vendor == AMD]
    names = [f"{CDI_PREFIX}{gpu.uuid}" for gpu in nvidia]
    by_cdi = bool(names) and set(names) <= set(cdi_names)
    variables = gpu_variables(gpus)
    if by_cdi:
        # What CDI has given must not be given a second time by a runtime that reads this.
        variables["NVIDIA_VISIBLE_DEVICES"] = VOID
    return ContainerGpus(
        device_requests=[_device_request(nvidia, names if by_cdi else [], request)] if nvidia else [],
        devices=[_device(path) for path in sorted({path for gpu in amd for path in gpu.files})],
        variables=variables,
        processors=near_processors(gpus, node_count),
    )


def _device_request(gpus: Sequence[Gpu], cdi_names: list[str], request: GpuRequest | None) -> dict[str, Any]:
    if cdi_names:
        return {"Driver": "cdi", "DeviceIDs": cdi_names}
    asked = request.capabilities if request is not None else ()
    return {"DeviceIDs": [gpu.uuid for gpu in gpus], "Capabilities": [["gpu", *asked]]}


def _device(path: str) -> dict[str, Any]:
    return {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rw"}
