"""The GPUs that an agent was started with: the variables by which CUDA and ROCm narrow a process down. Pure."""

from collections.abc import Mapping, Sequence

from ipc.gpus import AMD, NVIDIA, Gpu

#: The variable of each vendor that counts.
VARIABLES = {NVIDIA: "CUDA_VISIBLE_DEVICES", AMD: "ROCR_VISIBLE_DEVICES"}


def visible(gpus: Sequence[Gpu], environ: Mapping[str, str]) -> list[Gpu]:
    """Return those of ``gpus`` that a process with the environment ``environ`` is to use."""
    return [gpu for vendor, variable in VARIABLES.items() for gpu in _of_vendor(gpus, vendor, environ.get(variable))]


def _of_vendor(gpus: Sequence[Gpu], vendor: str, value: str | None) -> list[Gpu]:
    own = [gpu for gpu in gpus if gpu.vendor == vendor]
    if value is None:
        return own
    meant = _meant(own, value)
    return [gpu for gpu in own if gpu.uuid in meant]


def _meant(gpus: Sequence[Gpu], value: str) -> set[str]:
    """Return the UUIDs that ``value`` names. As with CUDA, what follows the first name of no GPU does not count."""
    meant: set[str] = set()
    for word in (part.strip() for part in value.split(",")):
        named = {gpu.uuid for gpu in gpus if _is_meant(gpu, word)}
        if not named:
            break
        meant |= named
    return meant


def _is_meant(gpu: Gpu, word: str) -> bool:
    """Return whether ``word`` names the GPU, or the GPU that it is an instance of; a UUID may be cut short."""
    if not word:
        return False
    names = [gpu.uuid, gpu.parent or gpu.uuid]
    return word in {gpu.label, str(gpu.index)} or any(name.startswith(word) for name in names if not word.isdecimal())
