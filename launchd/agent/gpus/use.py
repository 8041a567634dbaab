"""What GPUs do for a job: the mean and the peak over the samples of its time."""

from ipc.gpu_probe import SeenGpu
from ipc.gpus import Gpu, GpuUse


class UseMeter:
    """Adds up the samples of one GPU, for one job."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._samples = 0
        self._utilisation = _Series()
        self._memory = _Series()

    def add(self, seen: SeenGpu) -> None:
        """Count one sample."""
        self._samples += 1
        self._utilisation.add(seen.utilisation)
        self._memory.add(seen.memory_used)

    def use(self) -> GpuUse:
        """Return what was seen."""
        peak = self._memory.peak
        return GpuUse(
            self._gpu.uuid,
            self._gpu.label,
            self._gpu.name,
            self._samples,
            self._utilisation.mean,
            self._utilisation.peak,
            self._memory.mean,
            None if peak is None else int(peak),
        )


class _Series:
    """Numbers that are known now and then."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0
        self.peak: float | None = None

    def add(self, value: float | None) -> None:
        if value is not None:
            self._sum += value
            self._count += 1
            self.peak = value if self.peak is None else max(self.peak, value)

    @property
    def mean(self) -> float | None:
        return round(self._sum / self._count, 1) if self._count else None
