"""NVIDIA's GPUs, as NVML has them (nvidia-ml-py).

Any question may hang for ever: the driver does so when a GPU is broken. That is why this runs in the probe alone.
What a driver or a GPU does not answer, for want of the feature, is left out.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pynvml
from msgspec.structs import replace

from ipc.gpu_probe import SeenGpu
from ipc.gpus import NVIDIA, Gpu
from workers.gpus.sysfs import local_processors, numa_node

#: Faults (XID) that are the GPU's and not a program's, by NVIDIA's "Xid Errors": memory, the bus, NVLink, the GPU's own
#: processor. A row of memory that was replaced (63) is known by the reset that it waits for.
HARDWARE_FAULTS = frozenset({48, 62, 64, 74, 79, 94, 95, 110, 119, 120, 136, 140, 143})

_MIG_ENABLED = 1


class NvmlUnavailable(Exception):
    """NVML cannot be asked; the message says why, as a sentence."""


class NvmlReader:
    """NVML, opened once. Raises :class:`NvmlUnavailable` where there is none."""

    def __init__(self, sysfs: str) -> None:
        self._sysfs = Path(sysfs)
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise NvmlUnavailable(f"NVIDIA's management library (NVML) does not answer: {error}.") from error
        #: What was learnt of each GPU: it is the same until the driver is loaded again. By index.
        self._known: dict[int, Gpu] = {}
        self._links: dict[frozenset[str], bool] = {}
        self._events = _maybe(pynvml.nvmlEventSetCreate)
        self._watched: set[int] = set()
        self._faults: dict[str, list[int]] = {}

    def look(self) -> list[SeenGpu]:
        """Return the GPUs and MIG instances as they are now; raises :class:`NvmlUnavailable`."""
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            raise NvmlUnavailable(f"NVIDIA's management library (NVML) does not answer: {error}.") from error
        handles = {index: handle for index in range(count) if (handle := self._handle(index)) is not None}
        self._collect_faults()
        seen = [one for index in range(count) for one in self._look_at(index, handles.get(index))]
        return self._with_links(seen, handles)

    def _handle(self, index: int) -> Any:
        """Return the handle of a GPU, ``None`` of one that the driver has lost."""
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            known = self._known.get(index)
            # Where one is gone for good, others may have its index.
            if known is None or known.uuid != _text(pynvml.nvmlDeviceGetUUID(handle)):
                self._known[index] = self._describe(handle, index)
        except pynvml.NVMLError:
            return None
        if index not in self._watched and self._events is not None:
            self._watched.add(index)
            _maybe(pynvml.nvmlDeviceRegisterEvents, handle, pynvml.nvmlEventTypeXidCriticalError, self._events)
        return handle

    def _describe(self, handle: Any, index: int) -> Gpu:
        bus = _pci_address(_maybe(pynvml.nvmlDeviceGetPciInfo, handle))
        minor = _maybe(pynvml.nvmlDeviceGetMinorNumber, handle)
        device = self._sysfs / "bus/pci/devices" / (bus or "none")
        return Gpu(
            uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
            name=_text(_maybe(pynvml.nvmlDeviceGetName, handle) or ""),
            memory=pynvml.nvmlDeviceGetMemoryInfo(handle).total,
            index=index,
            vendor=NVIDIA,
            numa=numa_node(device),
            processors=local_processors(device),
            bus=bus,
            files=() if minor is None else (f"/dev/nvidia{minor}",),
        )

    # -- one GPU

    def _look_at(self, index: int, handle: Any) -> Iterator[SeenGpu]:
        gpu = self._known.get(index)
        if gpu is None:
            return
        if handle is None:
            yield SeenGpu(gpu, problem="the driver has lost it", faults=self._faults_of(gpu.uuid))
            return
        try:
            yield from self._seen(gpu, handle)
        except pynvml.NVMLError as error:
            yield SeenGpu(gpu, problem=f"NVML answers: {error}", faults=self._faults_of(gpu.uuid))

    def _seen(self, gpu: Gpu, handle: Any) -> Iterator[SeenGpu]:
        problem, faults = _problem(handle), self._faults_of(gpu.uuid)
        mode = _maybe(pynvml.nvmlDeviceGetMigMode, handle)
        if mode is None or mode[0] != _MIG_ENABLED:
            yield replace(_state(gpu, handle), problem=problem, faults=faults)
            return
        for number, instance in _instances(handle):
            part = _instance(gpu, instance, number)
            yield replace(_state(part, instance), problem=problem, faults=faults)

    def _collect_faults(self) -> None:
        """Take the faults that the driver has reported since the last look."""
        self._faults = {}
        if self._events is None:
            return
        with suppress(pynvml.NVMLError):  # The one of an empty set ends it.
            while True:
                event = pynvml.nvmlEventSetWait_v2(self._events, 0)
                number = int(event.eventData)
                if number in HARDWARE_FAULTS:
                    uuid = _text(pynvml.nvmlDeviceGetUUID(event.device))
                    self._faults.setdefault(uuid, []).append(number)

    def _faults_of(self, uuid: str) -> tuple[int, ...]:
        return tuple(self._faults.get(uuid, ()))

    # -- how they are joined

    def _with_links(self, seen: list[SeenGpu], handles: dict[int, Any]) -> list[SeenGpu]:
        whole = [one.gpu for one in seen if not one.gpu.is_instance and one.gpu.index in handles]
        linked = {gpu.uuid: self._linked_to(gpu, whole, handles) for gpu in whole}
        return [replace(one, gpu=replace(one.gpu, linked=linked.get(one.gpu.uuid, ()))) for one in seen]

    def _linked_to(self, gpu: Gpu, others: list[Gpu], handles: dict[int, Any]) -> tuple[str, ...]:
        return tuple(other.uuid for other in others if other.uuid != gpu.uuid and self._are_linked(gpu, other, handles))

    def _are_linked(self, one: Gpu, other: Gpu, handles: dict[int, Any]) -> bool:
        pair = frozenset((one.uuid, other.uuid))
        if pair not in self._links:
            ends = handles[one.index], handles[other.index]
            status = _maybe(pynvml.nvmlDeviceGetP2PStatus, *ends, pynvml.NVML_P2P_CAPS_INDEX_NVLINK)
            self._links[pair] = status == pynvml.NVML_P2P_STATUS_OK
        return self._links[pair]


def _state(gpu: Gpu, handle: Any) -> SeenGpu:
    """Return what a GPU does; raises ``NVMLError`` where it does not answer."""
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    rates = _maybe(pynvml.nvmlDeviceGetUtilizationRates, handle)
    processes = _maybe(pynvml.nvmlDeviceGetComputeRunningProcesses, handle) or ()
    return SeenGpu(
        gpu,
        processes=tuple(sorted({process.pid for process in processes})),
        utilisation=None if rates is None else float(rates.gpu),
        memory_used=memory.used,
    )


def _instances(handle: Any) -> Iterator[tuple[int, Any]]:
    """Yield the MIG instances of a GPU with their numbers; the numbers have gaps."""
    for number in range(_maybe(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        instance = _maybe(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        if instance is not None:
            yield number, instance


def _instance(gpu: Gpu, handle: Any, number: int) -> Gpu:
    return replace(
        gpu,
        uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
        name=_text(_maybe(pynvml.nvmlDeviceGetName, handle) or gpu.name),
        memory=pynvml.nvmlDeviceGetMemoryInfo(handle).total,
        parent=gpu.uuid,
        instance=number,
    )


def _problem(handle: Any) -> str | None:
    """Return why a GPU is not fit for jobs, as the end of a sentence; ``None`` where nothing says so."""
    uncorrected = _maybe(
        pynvml.nvmlDeviceGetTotalEccErrors,
        handle,
        pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
        pynvml.NVML_VOLATILE_ECC,
    )
    if uncorrected:
        return f"it has {uncorrected} memory errors (ECC) that could not be corrected, since it was last reset"
    rows = _maybe(pynvml.nvmlDeviceGetRemappedRows, handle)
    if rows is not None and rows[3]:
        return "it has no spare rows of memory left to replace broken ones"
    if rows is not None and rows[2]:
        return "it has to be reset, so that broken rows of its memory are replaced"
    if _maybe(pynvml.nvmlDeviceGetRetiredPagesPendingStatus, handle):
        return "it has to be reset, so that broken pages of its memory are retired"
    return None


def _maybe(function: Callable[..., Any], *args: Any) -> Any:
    """Return the answer to a question that not every driver, and not every GPU, has one to; ``None`` without one.

    A GPU that is gone answers to nothing: that is an error.
    """
    try:
        return function(*args)
    except (pynvml.NVMLError_GpuIsLost, pynvml.NVMLError_Uninitialized):
        raise
    except pynvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if type(value) is bytes else str(value)


def _pci_address(info: Any) -> str | None:
    """Return a PCI address as the kernel writes it: ``0000:07:00.0``."""
    if info is None:
        return None
    domain, _, rest = _text(info.busId).lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def persistence_modes() -> dict[str, bool]:
    """Return which GPUs have persistence mode, by index and name; raises :class:`NvmlUnavailable`.

    GPUs for which there is no such mode are left out.
    """
    try:
        pynvml.nvmlInit()
        found = [_persistence_of(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        raise NvmlUnavailable(f"NVIDIA's management library (NVML) does not answer: {error}.") from error
    return {name: bool(mode) for name, mode in found if mode is not None}


def _persistence_of(index: int) -> tuple[str, int | None]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    name = _text(_maybe(pynvml.nvmlDeviceGetName, handle) or "GPU")
    return f"{index} ({name})", _maybe(pynvml.nvmlDeviceGetPersistenceMode, handle)
