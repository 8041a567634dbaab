"""Who is told that a workload has changed, and what is watched for that."""

import pytest

from ipc.messages import LookAgain
from ipc.run_spec import RunSpec
from ipc.watch_service import WatchBegan, WatchRefused, WorkloadsChanged
from launchd.agent.events import WatcherEnded, WatcherReported
from launchd.agent.job_record import JobRecord
from launchd.agent.watches import LINGER_SECONDS, TOLD_AT_ONCE, Watches
from tests.support.controller_harness import ManualClock, StubPool

KUBERNETES = "kubernetes"


class StubLink:
    """Keeps what is to be watched."""

    def __init__(self) -> None:
        self.scopes: frozenset[str] = frozenset()

    def set_scopes(self, scopes: frozenset[str]) -> None:
        self.scopes = scopes

    def end(self) -> None:
        self.scopes = frozenset()


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.pool = StubPool()
        self.links: dict[str, StubLink] = {}
        self.watches = Watches(self.pool, self.open_link, self.clock.monotonic)

    def open_link(self, resource: str, path: str) -> StubLink:
        assert path == "workers.kubernetes.watcher:main"
        return self.links.setdefault(resource, StubLink())

    def add(self, item_id: str, scope: str = "one", resource: str = KUBERNETES) -> None:
        spec = RunSpec(entity="me", project="demo", run_id="r", resource=resource)
        job = JobRecord(item_id, "agent", "default", f"launchd-{item_id}-1", 1, spec, "", 0.0)
        self.pool.assign(item_id)
        self.watches.add(job, scope)

    def told(self, item_id: str) -> int:
        """Return how often a worker was told since the last call."""
        worker = self.pool.busy[item_id]
        told, worker.sent = worker.sent, []
        assert told == [LookAgain()] * len(told)
        return len(told)

    def began(self, scope: str = "one") -> None:
        self.watches.on_event(WatcherReported(KUBERNETES, WatchBegan(scope)))

    def changed(self, *items: str) -> None:
        names = tuple(f"launchd-{item}-1" for item in items)
        self.watches.on_event(WatcherReported(KUBERNETES, WorkloadsChanged(names)))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_change_is_told_to_the_worker_of_that_job_alone(bench: Bench) -> None:
    bench.add("a")
    bench.add("b")

    bench.changed("a", "of-nobody")

    assert (bench.told("a"), bench.told("b")) == (1, 0)


def test_whoever_may_have_missed_something_is_told_when_the_watch_begins(bench: Bench) -> None:
    bench.add("a")
    bench.add("b", scope="two")

    bench.began("one")

    assert (bench.told("a"), bench.told("b")) == (1, 0)


def test_a_worker_that_comes_to_a_watch_that_goes_on_may_have_missed_something(bench: Bench) -> None:
    bench.add("a")
    bench.began()
    bench.add("b")

    assert bench.told("b") == 1


def test_a_worker_that_comes_while_nothing_watches_is_told_once_something_does(bench: Bench) -> None:
    bench.add("a")
    bench.began()
    bench.told("a")
    bench.watches.on_event(WatcherEnded(KUBERNETES))
    bench.add("b")
    assert bench.told("b") == 0

    bench.began()

    assert (bench.told("a"), bench.told("b")) == (1, 1)


def test_many_workers_are_told_in_turns(bench: Bench) -> None:
    items = [str(number) for number in range(2 * TOLD_AT_ONCE + 1)]
    for item in items:
        bench.add(item)

    told = []
    bench.began()
    for _ in range(4):
        told.append(sum(bench.told(item) for item in items))
        bench.watches.tick()

    assert told == [TOLD_AT_ONCE, TOLD_AT_ONCE, 1, 0]


def test_a_worker_that_has_gone_is_told_nothing(bench: Bench) -> None:
    bench.add("a")
    bench.watches.drop("a")

    bench.changed("a")
    bench.began()

    assert bench.told("a") == 0


def test_a_scope_is_watched_for_a_while_after_its_last_job(bench: Bench) -> None:
    bench.add("a")
    bench.add("b", scope="two")
    link = bench.links[KUBERNETES]
    bench.watches.drop("a")
    bench.watches.tick()
    assert link.scopes == {"one", "two"}

    bench.clock.advance(LINGER_SECONDS + 1)
    bench.watches.tick()

    assert link.scopes == {"two"}


def test_a_job_that_comes_meanwhile_keeps_the_scope(bench: Bench) -> None:
    bench.add("a")
    bench.watches.drop("a")
    bench.add("b")

    bench.clock.advance(LINGER_SECONDS + 1)
    bench.watches.tick()

    assert bench.links[KUBERNETES].scopes == {"one"}


def test_a_target_that_nothing_watches_needs_no_process(bench: Bench) -> None:
    bench.add("a", resource="local-process")

    assert bench.links == {}


def test_a_watch_that_is_refused_is_told_to_people(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.add("a")

    bench.watches.on_event(WatcherReported(KUBERNETES, WatchRefused("one", "Kubernetes does not grant a watch.")))

    (record,) = caplog.records
    assert record.getMessage() == "Changes of jobs cannot all be watched; each job is looked at in turns."
    assert vars(record)["why"] == "Kubernetes does not grant a watch."
