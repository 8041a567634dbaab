"""Random jobs over two hosts with eight GPUs, whose agents are killed at random: 200 of them, or 1000 (``--long``).

No GPU is given twice and none is lost, no job waits for ever, and no host is idle beside a waiting job that fits it.
"""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ipc.gpus import GpuKind, GpuRequest, GpuSummary, gpu_request
from ipc.run_spec import parse_run_spec
from launchd.server.store.launch.demands import usable
from tests.support.gpu_hosts import Host, HostGpu, Killed
from tests.support.gpu_offers import GIB, kind, offer, spec
from tests.support.long_tests import is_long
from tests.support.server import Api, RunningServer, fresh_name, running_server

pytestmark = [pytest.mark.dialect, pytest.mark.timeout(400)]

SHORT, LONG = 200, 1000
MOST_WAITING = 40
MOST_PASSES = MOST_WAITING
"""Later jobs with GPUs that may be started before one that waits, on hosts that could ever fit that."""


@pytest.fixture(scope="module")
def strict(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:  # noqa: ARG001
    """A server that lets no item be passed twice."""
    options = ("--backfill-seconds", "0", "--agent-timeout-seconds", "1000", "--restore-pause-seconds", "0")
    with running_server(tmp_path_factory.mktemp("strict"), *options) as server:
        yield server


class Matrix:
    """The jobs, the hosts, and what happens."""

    def __init__(self, api: Api, seed: int, death: float) -> None:
        self.random = random.Random(seed)
        self.death = death
        self.api = api
        self.queue = fresh_name("queue")
        queue_id = api.create_queue(self.queue)
        whole = [HostGpu(f"A{number}", 80 * GIB) for number in range(3)] + [HostGpu("A3", 40 * GIB)]
        mig = [HostGpu(f"B{number}", 80 * GIB) for number in range(2)]
        mig += [HostGpu(f"B2:{number}", 10 * GIB, is_instance=True) for number in range(2)]
        self.hosts = [
            Host(api, queue_id, "host-a", whole, 6, self.dies),
            Host(api, queue_id, "host-b", mig, 5, self.dies),
        ]
        self.may_die = False
        for host in self.hosts:
            host.start()
        self.requests: dict[str, GpuRequest | None] = {}
        self.places: dict[str, tuple[int, int]] = {}
        self.worst = 0
        """Most of the numbers in `waiting`, ever."""
        self.waiting: dict[str, int] = {}
        """Later jobs with GPUs that were started while it waited, by item."""

    def dies(self) -> None:
        if self.may_die and self.random.random() < self.death:
            raise Killed

    def push(self) -> None:
        given = self.random_spec()
        priority = self.random.choice([1, 2, 2, 2, 3])
        item = self.api.push(self.queue, given, priority=priority)
        self.places[item] = (priority, len(self.places))
        self.requests[item] = gpu_request(parse_run_spec(given | {"entity": "me"}))
        self.waiting[item] = 0

    def random_spec(self) -> dict[str, Any]:
        choice = self.random.random()
        if choice < 0.15:
            return {"project": "p", "resource": "local-process"}
        if choice < 0.55:
            return spec(1)
        if choice < 0.65:
            return spec(1, memory="20 GiB")
        if choice < 0.80:
            return spec(2)
        if choice < 0.86:
            return spec(3, memory="60 GiB")
        if choice < 0.92:
            return spec(4)
        if choice < 0.96:
            return spec("device=" + self.random.choice(["A1", "B0", "B2:1", "A0,A2"]))
        return spec("all")

    def at(self, host: Host, *steps: Any) -> bool:
        """Do something at a host, which may die of it. Returns whether it lived on."""
        self.may_die = True
        try:
            for step in steps:
                step()
        except Killed:
            self.may_die = False
            host.start()
            self.note_started()
            return False
        self.may_die = False
        self.note_started()
        return True

    def note_started(self) -> None:
        """Note which items were started, and past which others."""
        for host in self.hosts:
            host.taken()
        started = [(item, host) for host in self.hosts for item in host.journal if item in self.waiting]
        for item, _ in started:
            del self.waiting[item]
        for item in self.waiting:
            self.waiting[item] += sum(self.passes(item, other, host) for other, host in started)
        self.worst = max([self.worst, *self.waiting.values()])

    def passes(self, item: str, other: str, host: Host) -> bool:
        """Whether `other` was started past `item`, on a host that could ever fit that."""
        mine, its = self.requests[item], self.requests[other]
        is_later = self.places[other] > self.places[item]
        return mine is not None and its is not None and is_later and usable(self.summary(host)).fits_ever(mine)

    def summary(self, host: Host) -> GpuSummary:
        said = host.offer()
        kinds = tuple(
            GpuKind(one["name"], one["memory"], one["free"], one["usable"], one["total"], "nvidia", one["isInstance"])
            for one in said["kinds"]
        )
        return GpuSummary(kinds, tuple(said["devices"]), tuple(said["freeDevices"]))

    def claim_until_empty(self, host: Host) -> bool:
        """Claim as an agent does, until there is nothing. Returns whether it has a slot left."""
        while (came := self.claim_once(host)) != 0:
            if came is None:
                return False
        return True

    def claim_once(self, host: Host) -> int | None:
        """Return how many items came, -1 where the agent died of it; None: there was no slot."""
        came: list[int | None] = []
        return came[0] if self.at(host, lambda: came.append(host.claim())) else -1

    def fitting(self, host: Host) -> list[str]:
        """Waiting items that the host could start now."""
        free = self.summary(host)
        return [
            item
            for item in self.waiting
            if (request := self.requests[item]) is None or free.fits_now(request)
            if self.api.state(item) == "PENDING"
        ]

    def shake(self, host: Host) -> None:
        """Strangers come and go, GPUs fail and are mended: never under a job."""
        taken = host.taken()
        gpu = self.random.choice(host.gpus)
        if gpu.name not in taken:
            if self.random.random() < 0.6:
                gpu.stranger = not gpu.stranger and self.random.random() < 0.4
            else:
                gpu.failed = not gpu.failed and self.random.random() < 0.3

    def end_some(self, host: Host) -> None:
        for item in list(host.journal):
            if self.random.random() < 0.4 and item in host.journal:
                self.at(host, lambda item=item: host.finish(item))

    def mend(self) -> None:
        for host in self.hosts:
            for gpu in host.gpus:
                gpu.stranger = gpu.failed = False

    def run(self, jobs: int, *, idle_is_wrong: bool) -> None:
        pushed = 0
        while pushed < jobs:
            for _ in range(min(self.random.randint(0, 4), jobs - pushed, MOST_WAITING - len(self.waiting))):
                self.push()
                pushed += 1
            host = self.random.choice(self.hosts)
            if self.random.random() < 0.3:
                self.shake(host)
            if self.random.random() < 0.03:
                host.start()
            has_room = self.claim_until_empty(host)
            if idle_is_wrong and has_room:
                assert self.fitting(host) == [], f"{host.name} is idle beside what fits it"
            self.end_some(self.random.choice(self.hosts))
        self.drain()

    def drain(self) -> None:
        self.mend()
        for _ in range(2000):
            if not self.waiting and not any(host.journal for host in self.hosts):
                break
            for host in self.hosts:
                self.claim_until_empty(host)
                self.end_some(host)
        assert self.waiting == {}, "jobs wait for ever"
        for host in self.hosts:
            assert host.taken() == {}
            assert len(host.free()) == len(host.gpus), "a GPU is lost"
        ended = [item for host in self.hosts for item in host.ended]
        assert len(ended) == len(set(ended)), "a job ran twice"
        states = {self.api.state(item) for item in self.requests}
        assert states == {"FINISHED"}


@pytest.fixture
def jobs(request: pytest.FixtureRequest) -> int:
    return LONG if is_long(request.config) else SHORT


def test_jobs_of_every_kind_take_turns(api: Api, jobs: int) -> None:
    """With a long `backfill_seconds`: what fits is never kept from a host that is free."""
    Matrix(api, seed=20251, death=0.03).run(jobs, idle_is_wrong=True)


def test_no_job_starves_beside_smaller_ones(strict: RunningServer, jobs: int) -> None:
    with strict.api() as api:
        matrix = Matrix(api, seed=77, death=0.01)
        matrix.run(jobs // 3, idle_is_wrong=False)
        assert matrix.worst <= MOST_PASSES


def test_claims_at_the_same_time_lease_each_item_once(server: RunningServer, api: Api) -> None:
    queue = fresh_name("queue")
    queue_id = api.create_queue(queue)
    pushed = {api.push(queue, spec(number % 3) if number % 3 else {"project": "p"}) for number in range(120)}

    def claim_all(number: int) -> list[str]:
        with server.api() as client:
            agent, got = client.create_agent(queue_id), list[str]()
            for turn in range(1000):
                gpus = offer(turn + 1, kind(8, 8))
                new = client.claim(agent, f"{number}-{turn}", items=5, gpus=gpus)
                if not new:
                    break
                client.ack(agent, *new)
                got += new
            return got

    with ThreadPoolExecutor(4) as pool:
        got = [item for items in pool.map(claim_all, range(4)) for item in items]
    assert len(got) == len(set(got))
    assert set(got) | set(claim_all(5)) == pushed
