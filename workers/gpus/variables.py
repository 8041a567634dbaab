"""The variables by which a process sees the GPUs of its job and no other ones. Pure."""

from collections.abc import Sequence

from ipc.gpus import AMD, NVIDIA, Gpu

#: CUDA and ROCm take it for no device at all; an empty value is read as a list of numbers by some programs.
NO_DEVICE = "-1"

#: What the container runtime of NVIDIA takes for no device.
VOID = "void"


def gpu_variables(gpus: Sequence[Gpu]) -> dict[str, str]:
    """Return the variables for a job that has ``gpus``, or none; set last, so that it cannot ask for others."""
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": _names(gpus, NVIDIA) or NO_DEVICE,
        "NVIDIA_VISIBLE_DEVICES": _names(gpus, NVIDIA) or VOID,
        "ROCR_VISIBLE_DEVICES": _names(gpus, AMD) or NO_DEVICE,
    }


def _names(gpus: Sequence[Gpu], vendor: str) -> str:
    return ",".join(gpu.uuid for gpu in gpus if gpu.vendor == vendor)
