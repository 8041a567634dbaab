"""Hosts with GPUs, simulated: agents that speak the real protocol, and can be killed between any two of their steps.

What a real agent has on disk (`journal`) outlives a kill; the rest does not. Strangers come and go on GPUs, and GPUs
fail and are set aside.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any

from ipc.gpus import GpuRequest, gpu_request
from ipc.run_spec import parse_run_spec
from tests.support.gpu_offers import GIB
from tests.support.server import Api

_numbers = itertools.count(1)


class Killed(Exception):
    """The agent died here."""


@dataclass
class HostGpu:
    """One GPU, or MIG instance, of a host."""

    name: str
    memory: int
    is_instance: bool = False
    stranger: bool = False
    failed: bool = False

    @property
    def kind(self) -> tuple[str, int, bool]:
        return (f"{self.memory // GIB} GiB", self.memory, self.is_instance)


@dataclass
class Running:
    """A job in the journal of a host."""

    gpus: tuple[str, ...]
    lease: int
    acknowledged: bool = False


@dataclass
class Host:
    """An agent with its GPUs. `dies` is asked at each point where it may die."""

    api: Api
    queue_id: str
    name: str
    gpus: list[HostGpu]
    slots: int
    dies: Any
    agent: str = ""
    incarnation: str = ""
    version: int = 0
    last: object = None
    journal: dict[str, Running] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def start(self) -> None:
        """A new process of the agent: it takes over what is in the journal."""
        before, self.incarnation = self.incarnation or None, f"{self.name}-{next(_numbers)}"
        self.version, self.last = 0, None
        if not self.agent:
            self.agent = self.api.create_agent(self.queue_id, hostname=self.name, incarnation=self.incarnation)
        held = [
            {"runQueueItemId": item, "lease": job.lease, "acknowledged": job.acknowledged, "runName": f"run-{item}"}
            for item, job in self.journal.items()
        ]
        answer = self.api.resume(
            self.agent, *held, incarnation=self.incarnation, previousIncarnation=before, machineId=self.name
        )
        for result in answer["results"]:
            if result["answer"] != "TAKEN":
                del self.journal[result["runQueueItemId"]]
        for item, job in self.journal.items():
            if not job.acknowledged:
                self._acknowledge(item, job.lease)
                job.acknowledged = True

    def taken(self) -> dict[str, str]:
        """Which job has each GPU that is given out."""
        owners: dict[str, str] = {}
        for item, job in self.journal.items():
            for name in job.gpus:
                assert name not in owners, f"{name} is given to {owners[name]} and {item}"
                owners[name] = item
        return owners

    def free(self) -> list[HostGpu]:
        """The GPUs that can be given to a job now, the smallest first."""
        taken = self.taken()
        free = [gpu for gpu in self.gpus if gpu.name not in taken and not gpu.stranger and not gpu.failed]
        return sorted(free, key=lambda gpu: (gpu.memory, gpu.name))

    def offer(self) -> dict[str, Any]:
        """What the agent tells, with a higher version where it is something else than before."""
        free = {gpu.name for gpu in self.free()}
        usable = {gpu.name for gpu in self.gpus if not gpu.failed}
        kinds = []
        for kind in sorted({gpu.kind for gpu in self.gpus}):
            alike = {gpu.name for gpu in self.gpus if gpu.kind == kind}
            kinds.append(
                {
                    "name": kind[0],
                    "memory": kind[1],
                    "isInstance": kind[2],
                    "vendor": "nvidia",
                    "total": len(alike),
                    "usable": len(alike & usable),
                    "free": len(alike & free),
                }
            )
        said = {"kinds": kinds, "devices": [gpu.name for gpu in self.gpus], "freeDevices": sorted(free)}
        if said != self.last:
            self.last, self.version = said, self.version + 1
        return said | {"version": self.version}

    def choose(self, request: GpuRequest) -> tuple[str, ...] | None:
        """The GPUs that a job would get."""
        free = self.free()
        if request.devices:
            names = {gpu.name for gpu in free}
            return request.devices if set(request.devices) <= names else None
        admitted = [gpu.name for gpu in free if request.admits(gpu.memory, gpu.is_instance)]
        if request.count is None:
            usable = [gpu for gpu in self.gpus if not gpu.failed and request.admits(gpu.memory, gpu.is_instance)]
            return tuple(admitted) if admitted and len(admitted) == len(usable) else None
        return tuple(admitted[: request.count]) if len(admitted) >= request.count else None

    def claim(self, wait: float = 0.0) -> int | None:
        """Claim once, and start what came. Returns how many items that was; None: there was no slot."""
        room = self.slots - len(self.journal)
        if room <= 0:
            return None
        answer = self.api.mutate(
            "claimRunQueueItems",
            "items { runQueueItemId runSpec lease }",
            launchAgentId=self.agent,
            incarnation=self.incarnation,
            claimId=f"claim-{next(_numbers)}",
            maxItems=room,
            maxSchedulers=0,
            waitSeconds=wait,
            gpus=self.offer(),
        )
        self.dies()
        for item in answer["items"]:
            self._start(item["runQueueItemId"], item["runSpec"], item["lease"])
        return len(answer["items"])

    def _start(self, item: str, run_spec: dict[str, Any], lease: int) -> None:
        request = gpu_request(parse_run_spec(run_spec | {"entity": "me"}))
        chosen = () if request is None else self.choose(request)
        assert chosen is not None, f"{item} was leased to {self.name} and does not fit: {request} in {self.offer()}"
        self.journal[item] = Running(chosen, lease)
        self.dies()
        self._acknowledge(item, lease)
        self.dies()
        self.journal[item].acknowledged = True

    def _acknowledge(self, item: str, lease: int) -> None:
        acknowledgement = {"runQueueItemId": item, "runName": f"run-{item}", "lease": lease}
        (result,) = self.api.results_of_acks(self.agent, acknowledgement)
        assert result["success"]

    def finish(self, item: str) -> None:
        """A job ends: its outcome is delivered, then its GPUs are free."""
        job = self.journal[item]
        report = {"runQueueItemId": item, "lease": job.lease, "sequence": next(_numbers), "status": "finished"}
        assert self.api.results_of_reports(self.agent, report)[0]["success"]
        self.dies()
        del self.journal[item]
        self.ended.add(item)
