"""Which GPUs a host has: as they were last seen, with those that the driver has lost since."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ipc.gpu_probe import SeenGpu
from ipc.gpus import Gpu
from launchd.agent.gpus.visible import visible

_LOST = "the driver does not show it any more"

log = logging.getLogger(__name__)


@dataclass
class HostGpu:
    """One GPU of the host. ``fresh_after`` is the number of the question whose answer says who is on it."""

    seen: SeenGpu
    fresh_after: int = 0

    @property
    def gpu(self) -> Gpu:
        """What it is."""
        return self.seen.gpu


class Inventory:
    """The GPUs that an agent with the environment ``environ`` may give out, by UUID, in their order."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._gpus: dict[str, HostGpu] = {}
        #: Whether it is known which GPUs there are.
        self.is_known = False
        #: Grows with each change of the GPUs that there are.
        self.version = 0

    def __iter__(self) -> Iterator[HostGpu]:
        return iter(self._gpus.values())

    def __len__(self) -> int:
        return len(self._gpus)

    def get(self, uuid: str) -> HostGpu | None:
        """Return the GPU with this UUID."""
        return self._gpus.get(uuid)

    def gpus(self) -> list[Gpu]:
        """Return what there is."""
        return [host.gpu for host in self]

    def take(self, seen: Sequence[SeenGpu], answers: int = 0) -> None:
        """Take in all that was seen at one moment, which ``answers`` the questions up to this number."""
        before = set(self._gpus)
        self._show(self._own(seen))
        for host in self:
            if answers >= host.fresh_after:
                host.fresh_after = 0
        if not self.is_known or before != set(self._gpus):
            log.info("The GPUs of this host are known.", extra={"gpus": list(self._gpus)})
            self.is_known, self.version = True, self.version + 1

    def _own(self, seen: Sequence[SeenGpu]) -> dict[str, SeenGpu]:
        """Return those of the GPUs that the agent may give out, by UUID."""
        allowed = {gpu.uuid for gpu in visible([one.gpu for one in seen], self._environ)}
        return {one.gpu.uuid: one for one in seen if one.gpu.uuid in allowed}

    def _show(self, shown: Mapping[str, SeenGpu]) -> None:
        """Have what is shown, and lose what is not any more."""
        for host in list(self):
            if host.gpu.uuid not in shown:
                self._lose(host, [one.gpu for one in shown.values()])
        for uuid, one in shown.items():
            self._gpus.setdefault(uuid, HostGpu(one)).seen = one

    def _lose(self, host: HostGpu, shown: Sequence[Gpu]) -> None:
        """Note that a GPU is not shown any more: it is divided anew (MIG), or lost."""
        gpu = host.gpu
        # The GPU of an instance that is gone, and the instances of a GPU that is.
        if any(other.parent == gpu.uuid or gpu.parent in {other.uuid, other.parent or ""} for other in shown):
            del self._gpus[gpu.uuid]
        else:
            host.seen = SeenGpu(gpu, problem=_LOST)
