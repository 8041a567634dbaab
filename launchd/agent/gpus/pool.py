"""The GPUs of this host and who has them: what may be given out, to which job, and when again.

Owns that rule. A lease is in the journal before its job is launched, and goes with the commit that has the job's end. A
GPU is not given out while another job has it, while processes are on it, or while it is set aside.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ipc.boot_clock import boot_id
from ipc.gpu_probe import GpuSample, SeenGpu
from ipc.gpus import Gpu, GpuRequest, GpuSummary, GpuUse
from launchd.agent.clock import Clock
from launchd.agent.gpus.choice import choose, has_enough
from launchd.agent.gpus.claims import GpuClaims
from launchd.agent.gpus.inventory import HostGpu, Inventory
from launchd.agent.gpus.lease_rows import Lease, LeaseRows
from launchd.agent.gpus.set_aside import SetAside
from launchd.agent.gpus.summary import summarize
from launchd.agent.gpus.survivors import Survivor, find_survivors, still_there
from launchd.agent.gpus.use import UseMeter
from launchd.agent.host_locks import HostLocks
from launchd.agent.job_record import JobRecord
from launchd.agent.journal import Journal
from launchd.config.model import GpusConfig

#: How often it is looked whether a process that could not be killed has ended, in seconds.
SURVIVORS_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass
class _Held:
    """A lease, with what is counted for it; its job is over where there are ``survivors``."""

    lease: Lease
    meters: dict[str, UseMeter] = field(default_factory=dict)
    survivors: tuple[Survivor, ...] = ()


class GpuPool:
    """Main thread only. ``ask`` has the probe look at once, and returns the number of that question.

    ``locks`` keep other agents of the host away from what this one gives out.
    """

    def __init__(
        self,
        config: GpusConfig,
        journal: Journal,
        clock: Clock,
        environ: Mapping[str, str],
        ask: Callable[[], int] | None = None,
        locks: HostLocks | None = None,
    ) -> None:
        self._config = config
        self._journal = journal
        self._clock = clock
        self._ask = ask
        self._rows = LeaseRows(journal)
        self._set_aside = SetAside(config, journal, clock)
        self._inventory = Inventory(environ)
        self._claims = GpuClaims(locks or HostLocks(None), clock)
        self._held = {lease.item_id: _Held(lease) for lease in self._rows.load()}
        self._looked_at_survivors = clock.monotonic()
        #: Why the GPUs cannot be looked at, as a sentence.
        self.problem: str | None = None
        #: Grows whenever more, or fewer, GPUs can be given out.
        self.version = 0
        if config.devices:
            self._inventory.take([SeenGpu(gpu) for gpu in config.devices])
            self._claims.look(gpu.uuid for gpu in config.devices)

    def __len__(self) -> int:
        return len(self._inventory)

    @property
    def is_known(self) -> bool:
        """Whether it is known which GPUs there are."""
        return self._inventory.is_known

    @property
    def inventory(self) -> int:
        """Grows with each change of the GPUs that there are."""
        return self._inventory.version

    # -- the inventory

    def on_sample(self, sample: GpuSample) -> None:
        """Take in what the probe saw."""
        before = (self.inventory, self._givable())
        self.problem = None
        self._inventory.take(sample.gpus, sample.answers)
        self._claims.look(gpu.uuid for gpu in self._inventory.gpus())
        for seen in sample.gpus:
            self._set_aside.on_faults(seen.gpu.uuid, seen.faults)
        self._count_use(sample.gpus)
        self.version += (self.inventory, self._givable()) != before

    def on_probe_failed(self, why: str) -> None:
        """Note that the probe cannot look; what was known of the GPUs stays."""
        if self.problem != why:
            log.error("The GPUs of this host cannot be looked at.", extra={"why": why})
        self.problem = why

    def _count_use(self, seen: Iterable[SeenGpu]) -> None:
        by_uuid = {one.gpu.uuid: one for one in seen}
        for held in self._held.values():
            for gpu in held.lease.gpus:
                if gpu.uuid in by_uuid:
                    held.meters.setdefault(gpu.uuid, UseMeter(gpu)).add(by_uuid[gpu.uuid])

    # -- what can be given out

    def free(self) -> list[Gpu]:
        """Return the GPUs that can be given out now, in their order."""
        taken = self._taken()
        return [host.gpu for host in self._inventory if self._hindrance(host, taken) is None]

    def usable(self) -> list[Gpu]:
        """Return the GPUs that are not set aside, also those that jobs have."""
        return [host.gpu for host in self._inventory if self._why_aside(host) is None]

    def _givable(self) -> list[str]:
        return [gpu.uuid for gpu in self.free()]

    def _taken(self) -> dict[str, str]:
        """Return the items that have GPUs, by UUID; an instance takes its GPU, and a GPU its instances."""
        taken = {}
        for held in self._held.values():
            for gpu in held.lease.gpus:
                taken[gpu.uuid] = held.lease.item_id
                if gpu.parent is not None:
                    taken.setdefault(gpu.parent, held.lease.item_id)
        return taken

    def _hindrance(self, host: HostGpu, taken: Mapping[str, str]) -> str | None:
        """Return why a GPU is not given out now, as the end of a sentence."""
        gpu = host.gpu
        holder = taken.get(gpu.uuid) or (taken.get(gpu.parent or "") if self._is_whole_taken(gpu.parent) else None)
        if holder is not None:
            return f"the job of item {holder} has it"
        aside = self._why_aside(host)
        if aside is not None:
            return aside
        if host.fresh_after:
            return "it is looked whether the last job has left it"
        if host.seen.processes:
            return f"{_processes(host.seen.processes)} on it, of no job that has it"
        return None

    def _is_whole_taken(self, parent: str | None) -> bool:
        return any(gpu.uuid == parent for held in self._held.values() for gpu in held.lease.gpus)

    def _why_aside(self, host: HostGpu) -> str | None:
        return self._claims.why_not(host.gpu.uuid) or self._set_aside.why(host.gpu.uuid, host.seen.problem)

    def summary(self, promised: Collection[str] = ()) -> GpuSummary:
        """Return what the queue server is told of the GPUs when items are claimed; ``promised`` ones are not free."""
        free = {gpu.uuid for gpu in self.free() if gpu.uuid not in promised and gpu.parent not in promised}
        usable = {gpu.uuid for gpu in self.usable()}
        return summarize(self._inventory.gpus(), free, usable)

    def find(self, free: Sequence[Gpu], request: GpuRequest) -> tuple[Gpu, ...] | None:
        """Return what a job that asks for ``request`` would get out of ``free``; ``None`` where it has to wait."""
        if request.count is None:
            all_of_them = {gpu.uuid for gpu in self.usable() if request.admits(gpu.memory, gpu.is_instance)}
            if not all_of_them <= {gpu.uuid for gpu in free}:
                return None
        return choose(free, request)

    def why_never(self, request: GpuRequest) -> str | None:
        """Return why no waiting will bring these GPUs, as a sentence; ``None`` where it may."""
        if not self.is_known:
            return None
        gpus = self._inventory.gpus()
        if has_enough(gpus, request):
            return None
        return f"The job asks for {request.words()}, and this host has {_listed(gpus)}."

    # -- leases

    def lease(self, job: JobRecord, request: GpuRequest) -> tuple[Gpu, ...] | None:
        """Give ``job`` what it asks for, if that is free now; the lease is in the journal with its next commit."""
        gpus = self.find(self.free(), request)
        return None if gpus is None else self.give(job, gpus)

    def give(self, job: JobRecord, gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
        """Give ``job`` these GPUs, which are free."""
        lease = self._rows.add(job.item_id, job.name, gpus)
        self._held[job.item_id] = _Held(lease)
        self.version += 1
        log.info(
            "A job has GPUs.", extra={"item": job.item_id, "gpus": [gpu.uuid for gpu in gpus], "fence": lease.fence}
        )
        return gpus

    def adopt(self, job: JobRecord, gpus: tuple[Gpu, ...]) -> None:
        """Note that a job runs with ``gpus`` of which the journal has no lease: it is older than the job."""
        taken = self._taken()
        free = tuple(gpu for gpu in gpus if gpu.uuid not in taken)
        if len(free) < len(gpus):
            log.error("A job that is adopted shares GPUs with another one.", extra={"item": job.item_id})
        if free:
            self.give(job, free)

    def lease_of(self, item_id: str) -> Lease | None:
        """Return the lease of the job of an item."""
        held = self._held.get(item_id)
        return None if held is None else held.lease

    def use_of(self, item_id: str) -> tuple[GpuUse, ...]:
        """Return what the GPUs of a job have done for it."""
        held = self._held.get(item_id)
        if held is None:
            return ()
        return tuple(held.meters.get(gpu.uuid, UseMeter(gpu)).use() for gpu in held.lease.gpus)

    def release(self, job: JobRecord) -> None:
        """Take the GPUs of a job that is over back: they are free once that is on disk, and its processes are gone."""
        held = self._held.get(job.item_id)
        if held is None:
            return
        held.survivors = find_survivors(job.result.survivors if job.result else ())
        if held.survivors:
            pids = [one.pid for one in held.survivors]
            log.error(
                "A job is over, and keeps its GPUs: it has processes that cannot be killed.", extra={"pids": pids}
            )
            return
        self._free_after_commit(held.lease)

    def _free_after_commit(self, lease: Lease) -> None:
        self._rows.remove(lease)
        self._journal.on_commit(lambda: self._forget(lease))

    def _forget(self, lease: Lease) -> None:
        held = self._held.get(lease.item_id)
        if held is not None and held.lease.fence == lease.fence:
            del self._held[lease.item_id]
        question = self._ask() if self._ask is not None else 0
        for host in filter(None, (self._inventory.get(gpu.uuid) for gpu in lease.gpus)):
            host.fresh_after = question
        self.version += 1

    # -- health

    def on_job_end(self, item_id: str, *, failed_at_once: bool, succeeded: bool) -> None:
        """Learn from the end of a job about the GPUs that it had."""
        lease = self.lease_of(item_id)
        for gpu in lease.gpus if lease else ():
            if self._set_aside.on_job_end(gpu.uuid, failed_at_once=failed_at_once, succeeded=succeeded):
                self.version += 1

    def return_to_use(self, word: str, is_active: Callable[[str], bool]) -> list[str]:
        """Give out again what is set aside and named by ``word`` (index, UUID or ``all``); returns the labels.

        Also what a job has that is none of the active ones, as ``is_active`` knows them by their items.
        """
        meant = [host for host in self._inventory if word == "all" or host.gpu.is_named(word)]
        uuids = {host.gpu.uuid for host in meant}
        for held in [held for held in self._held.values() if not is_active(held.lease.item_id)]:
            if uuids & {gpu.uuid for gpu in held.lease.gpus}:
                self._free_after_commit(held.lease)
        back = [host.gpu.label for host in meant if self._set_aside.give_back(host.gpu.uuid, host.seen.problem)]
        self.version += bool(back)
        return back

    def knows(self, word: str) -> bool:
        """Return whether ``word`` names a GPU of this host."""
        return any(host.gpu.is_named(word) for host in self._inventory)

    def tick(self) -> None:
        """Look after what comes back with time."""
        self.version += bool(self._set_aside.come_back())
        before = self._givable()
        self._claims.look(gpu.uuid for gpu in self._inventory.gpus())
        self.version += self._givable() != before
        now = self._clock.monotonic()
        if now - self._looked_at_survivors < SURVIVORS_SECONDS:
            return
        self._looked_at_survivors = now
        for held in [held for held in self._held.values() if held.survivors]:
            held.survivors = still_there(held.survivors)
            if not held.survivors:
                self._free_after_commit(held.lease)

    def settle(self, item_id: str, ended: JobRecord | None) -> None:
        """Decide, at the start, about a lease whose job is not active; ``ended`` is what is known of that."""
        held = self._held[item_id]
        if held.lease.boot == boot_id():
            if ended is None:
                # Its record could not be read: the job may run.
                return
            # Its end and the end of its lease are one commit, unless processes were left.
            held.survivors = find_survivors(ended.result.survivors if ended.result else ())
        if not held.survivors:
            self._free_after_commit(held.lease)

    def leases(self) -> list[Lease]:
        """Return all leases, in the order in which they were given."""
        return [held.lease for held in self._held.values()]

    # -- for people

    def status(self) -> list[dict[str, Any]]:
        """Return each GPU, who has it, and why it is not given out."""
        taken = self._taken()
        return [self._describe(host, taken) for host in self._inventory]

    def _describe(self, host: HostGpu, taken: Mapping[str, str]) -> dict[str, Any]:
        gpu, seen = host.gpu, host.seen
        holder = taken.get(gpu.uuid)
        lease = self.lease_of(holder) if holder else None
        return {
            **msgspec.to_builtins(gpu),
            "label": gpu.label,
            "item_id": holder,
            "job": lease and lease.job,
            "fence": lease and lease.fence,
            "hindrance": None if holder else self._hindrance(host, taken),
            "set_aside": self._why_aside(host),
            "utilisation": seen.utilisation,
            "memory_used": seen.memory_used,
            "processes": list(seen.processes),
        }


def _processes(pids: Sequence[int]) -> str:
    return f"process {pids[0]} is" if len(pids) == 1 else f"processes {', '.join(map(str, pids))} are"


def _listed(gpus: Sequence[Gpu]) -> str:
    if not gpus:
        return "none that the agent gives out"
    names = Counter(gpu.name or "of an unknown kind" for gpu in gpus)
    return ", ".join(f"{count} ({name})" for name, count in names.items())
