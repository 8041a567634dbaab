"""AMD's GPUs, as the kernel's driver shows them below ``/sys``: no library is needed."""

from collections.abc import Iterator
from pathlib import Path

from ipc.gpu_probe import SeenGpu
from ipc.gpus import AMD, Gpu
from workers.gpus.sysfs import local_processors, numa_node, read_number, read_text

#: Where the driver for computing shows its nodes: the processors, then the GPUs.
NODES = "class/kfd/kfd/topology/nodes"
PROCESSES = "class/kfd/kfd/proc"

#: The kind of a link between two GPUs without the PCI bus (xGMI).
_XGMI = "11"

#: What every container needs beside the node of its GPU.
_COMPUTE_DEVICE = "/dev/kfd"


class _Node:
    """One GPU among the nodes."""

    def __init__(self, path: Path, properties: dict[str, str]) -> None:
        self.number = int(path.name)
        self.path = path
        self.gpu_id = read_text(path / "gpu_id") or "0"
        self.unique_id = int(properties.get("unique_id", "0"))
        self.render = int(properties.get("drm_render_minor", "0"))
        self.bus = _pci_address(int(properties.get("domain", "0")), int(properties.get("location_id", "0")))

    @property
    def uuid(self) -> str:
        """The name by which ROCm knows it."""
        return f"GPU-{self.unique_id:016x}" if self.unique_id else f"GPU-{self.bus}"


class AmdReader:
    """The GPUs of this host that compute, in ROCm's order."""

    def __init__(self, sysfs: str) -> None:
        self._sysfs = Path(sysfs)

    def look(self) -> list[SeenGpu]:
        """Return the GPUs as they are now; none where the driver is not loaded."""
        nodes = list(self._nodes())
        names = {node.number: node.uuid for node in nodes}
        busy = self._processes()
        return [self._seen(node, index, names, busy.get(node.gpu_id, ())) for index, node in enumerate(nodes)]

    def _nodes(self) -> Iterator[_Node]:
        root = self._sysfs / NODES
        numbers = sorted(int(path.name) for path in root.glob("*") if path.name.isdecimal())
        for path in (root / str(number) for number in numbers):
            properties = _properties(path / "properties")
            # A processor is a node without these.
            if int(properties.get("simd_count", "0")) > 0:
                yield _Node(path, properties)

    def _seen(self, node: _Node, index: int, names: dict[int, str], processes: tuple[int, ...]) -> SeenGpu:
        device = self._sysfs / "bus/pci/devices" / node.bus
        gpu = Gpu(
            uuid=node.uuid,
            name=read_text(device / "product_name") or "AMD GPU",
            memory=read_number(device / "mem_info_vram_total") or 0,
            index=index,
            vendor=AMD,
            numa=numa_node(device),
            processors=local_processors(device),
            bus=node.bus,
            linked=tuple(names[other] for other in _linked(node) if other in names),
            files=(_COMPUTE_DEVICE, f"/dev/dri/renderD{node.render}"),
        )
        busy = read_number(device / "gpu_busy_percent")
        return SeenGpu(
            gpu,
            processes=processes,
            utilisation=None if busy is None else float(busy),
            memory_used=read_number(device / "mem_info_vram_used"),
            problem=_problem(device),
        )

    def _processes(self) -> dict[str, tuple[int, ...]]:
        """Return the processes that hold memory of each GPU, by the driver's id of the GPU."""
        found: dict[str, tuple[int, ...]] = {}
        for path in sorted((self._sysfs / PROCESSES).glob("[0-9]*/vram_*")):
            if read_number(path):
                gpu_id = path.name.removeprefix("vram_")
                found[gpu_id] = (*found.get(gpu_id, ()), int(path.parent.name))
        return found


def _properties(path: Path) -> dict[str, str]:
    pairs = (line.split(maxsplit=1) for line in (read_text(path) or "").splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _linked(node: _Node) -> Iterator[int]:
    for path in sorted((node.path / "io_links").glob("*/properties")):
        properties = _properties(path)
        if properties.get("type") == _XGMI:
            yield int(properties.get("node_to", "-1"))


def _problem(device: Path) -> str | None:
    """Return why a GPU is not fit for jobs: errors of its memory that could not be corrected (``ue: 1``)."""
    counts = read_text(device / "ras/umc_err_count") or ""
    uncorrected = [line.partition(":")[2].strip() for line in counts.splitlines() if line.startswith("ue:")]
    if any(count not in ("", "0") for count in uncorrected):
        return f"it has {uncorrected[0]} memory errors that could not be corrected"
    return None


def _pci_address(domain: int, location: int) -> str:
    return f"{domain:04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"
