"""A watch of a cluster, and the process that has one for all workers, at a stand-in that answers on a socket."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc import watch_service
from ipc.watch_service import (
    ForgetScope,
    WatchBegan,
    WatchScope,
)
from tests.support.fake_kubernetes import FakeKubernetes, Fault, fake_kubernetes
from tests.support.waiting import wait_until
from tests.support.watch_service import WatchService
from workers.kubernetes import watch
from workers.kubernetes.discovery import Kind
from workers.kubernetes.names import AGENT_LABEL, NAME_LABEL

MARK = "0123456789abcdef"
VOLCANO = Kind("batch.volcano.sh/v1alpha1", "Job", "jobs")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PAUSE_SECONDS", (0.05, 0.05))
    monkeypatch.setattr(watch, "REFUSED_SECONDS", 0.2)


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with fake_kubernetes() as running:
        running.runs_pods = False
        yield running


class Service(WatchService):
    """What watches a cluster, and objects there of its agent."""

    def __init__(self, cluster: FakeKubernetes, directory: Path) -> None:
        super().__init__(str(cluster.write_config(directory / "kubeconfig")), MARK)
        self._cluster = cluster

    def make(self, name: str, plural: str = "jobs", namespace: str = "default", mark: str = MARK) -> None:
        labels = {NAME_LABEL: name, AGENT_LABEL: mark}
        body = {"metadata": {"name": name, "labels": labels}, "spec": {"suspend": True}}
        self._cluster.create((namespace, plural), body)


@pytest.fixture
def service(cluster: FakeKubernetes, tmp_path: Path) -> Iterator[Service]:
    made = Service(cluster, tmp_path)
    yield made
    cluster.close()
    made.close()


def test_changes_of_jobs_and_pods_of_this_agent_are_told(service: Service, cluster: FakeKubernetes) -> None:
    service.watch()

    service.make("of-another-agent", mark="another")
    service.make("job-a")
    service.make("pod-of-b", plural="pods")

    service.wait_changed("job-a")
    service.wait_changed("pod-of-b")
    assert service.changed() == {"job-a", "pod-of-b"}
    assert cluster.requests["watch"] == 2


def test_several_namespaces_and_custom_resources_are_watched(service: Service, cluster: FakeKubernetes) -> None:
    service.watch()
    service.watch("training", VOLCANO)

    service.make("a")
    service.make("b", namespace="training")

    service.wait_changed("a")
    service.wait_changed("b")
    assert cluster.requests["watch"] == 4


def test_a_scope_is_watched_once_and_forgotten(service: Service) -> None:
    scope = service.watch()
    service.peer.ask(WatchScope(scope))
    service.peer.ask(ForgetScope(scope))
    other = service.watch("other")
    service.make("b", namespace="other")
    service.wait_changed("b")

    service.make("a")
    service.make("c", namespace="other")
    service.wait_changed("c")

    assert service.changed() == {"b", "c"}
    assert other in [told.scope for told in service.told if type(told) is WatchBegan]


def test_a_watch_that_ends_goes_on_where_it_stood(
    service: Service, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WATCH_SECONDS", 1)
    scope = service.watch()
    wait_until(lambda: cluster.requests["watch"] >= 6, what="there were several watches")

    service.make("a")

    service.wait_changed("a")
    assert service.told.count(WatchBegan(scope)) == 1


def test_a_watch_that_is_too_old_begins_anew_and_says_so(service: Service, cluster: FakeKubernetes) -> None:
    scope = service.watch()
    service.make("a")
    service.wait_changed("a")

    cluster.change("jobs", "a", lambda job: job.update(seen=True))
    cluster.forget_events()

    wait_until(lambda: service.told.count(WatchBegan(scope)) >= 2, what="the watch begins anew")
    service.make("b")

    def is_told() -> bool:
        # That of the pods may have begun anew, and that of the Jobs not yet, which misses what comes before.
        cluster.change("jobs", "b", lambda job: job.update(seen=not job.get("seen")))
        return "b" in service.changed()

    wait_until(is_told, what="a change of b is told")


def test_what_changed_while_the_api_was_away_is_told(service: Service, cluster: FakeKubernetes) -> None:
    outage = Fault("*", "/", 0, times=1_000_000)
    service.watch()
    cluster.fail(outage)
    cluster.break_watches()
    service.make("a")
    wait_until(lambda: len(service.refusals()) >= 1, what="the outage is told")

    outage.times = 0

    service.wait_changed("a")
    assert "does not answer" in service.refusals()[0]


def test_a_busy_api_is_left_alone_for_as_long_as_it_says(
    service: Service, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WATCH_SECONDS", 1)
    fault = Fault("GET", "/jobs?watch", 429, times=1, headers={"Retry-After": "2"})
    cluster.fail(fault)
    began = time.monotonic()

    service.watch()
    wait_until(lambda: fault.times == 0, what="the API was busy")
    service.make("a")

    service.wait_changed("a")
    assert time.monotonic() - began >= 1.9


def test_a_watch_that_is_not_granted_is_told_once_and_tried_again(service: Service, cluster: FakeKubernetes) -> None:
    fault = Fault("GET", "/pods?watch", 403, times=3)
    cluster.fail(fault)
    service.watch()
    wait_until(lambda: fault.times == 0, what="it was tried again")

    service.make("a", plural="pods")

    wait_until(lambda: any("does not grant a watch" in why for why in service.refusals()), what="the refusal is told")
    wait_until(lambda: cluster.requests["watch"] >= 5, what="the pods are watched")
    service.make("b", plural="pods")
    service.wait_changed("b")


def test_what_is_no_scope_harms_nothing(service: Service) -> None:
    service.peer.ask(WatchScope("nonsense"))
    service.watch()

    assert "cannot be read" in service.refusals()[0]


def test_many_names_take_several_messages() -> None:
    names = [f"launchd-{number:016x}-1" for number in range(1000)] + ["x" * 64, "é"]

    messages = list(watch_service.change_messages(names))

    assert [name for message in messages for name in message.names] == names[:1000]
    assert max(len(watch_service._encode(message)) for message in messages) < 4096
