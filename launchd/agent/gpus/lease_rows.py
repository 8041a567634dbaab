"""The table of leases in the journal: which job has which GPUs, from before it is launched until its end is on disk."""

import msgspec

from ipc.boot_clock import boot_id
from ipc.gpus import Gpu
from launchd.agent.journal import Journal

_ADD = "INSERT OR REPLACE INTO gpu_leases (gpu, item_id, job, fence, boot, record) VALUES (?, ?, ?, ?, ?, ?)"
_REMOVE = "DELETE FROM gpu_leases WHERE item_id = ? AND fence = ?"
_ALL = "SELECT item_id, job, fence, boot, gpu, record FROM gpu_leases ORDER BY fence, gpu"

#: The key of the journal under which the last number that was given out is kept.
_FENCE = "gpu_fence"

_decoder = msgspec.json.Decoder(Gpu)


class Lease(msgspec.Struct, frozen=True):
    """GPUs of one job. ``fence`` is larger than that of any lease before; ``job`` is a workload name.

    ``boot`` is the id of the host's boot in which it was given: of a job of an earlier one no process is left.
    """

    item_id: str
    job: str
    fence: int
    boot: str
    gpus: tuple[Gpu, ...]


class LeaseRows:
    """The rows of one journal; they are on disk with its next commit."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._last = int(journal.meta(_FENCE) or 0)

    def load(self) -> list[Lease]:
        """Return the leases in the journal; a row of another version that cannot be read still counts as a lease."""
        leases: dict[int, Lease] = {}
        for item_id, job, fence, boot, gpu, record in self._journal.rows(_ALL):
            before = leases.get(fence)
            gpus = (*(before.gpus if before else ()), _gpu(gpu, record))
            leases[fence] = Lease(item_id, job, fence, boot, gpus)
        self._last = max([self._last, *leases])
        return list(leases.values())

    def add(self, item_id: str, job: str, gpus: tuple[Gpu, ...]) -> Lease:
        """Give ``gpus`` to the job of an item, under the next number."""
        self._last += 1
        self._journal.set_meta(_FENCE, str(self._last))
        for gpu in gpus:
            record = msgspec.json.encode(gpu).decode()
            self._journal.change(_ADD, gpu.uuid, item_id, job, self._last, boot_id(), record)
        return Lease(item_id, job, self._last, boot_id(), gpus)

    def remove(self, lease: Lease) -> None:
        """Take the GPUs of a lease back."""
        self._journal.change(_REMOVE, lease.item_id, lease.fence)


def _gpu(uuid: str, record: str) -> Gpu:
    try:
        return _decoder.decode(record)
    except msgspec.DecodeError:
        return Gpu(uuid)
