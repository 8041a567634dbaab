"""Pods that a cluster took away are known as long as they say how a job ended, and no longer."""

from pathlib import Path
from typing import Any

from workers.kubernetes.taken import MOST_PODS, TakenPods

Pod = dict[str, Any]

TAKEN_AT = "2026-01-01T00:05:00Z"


def pod(name: str, created: str = "2026-01-01T00:00:00Z", taken: str | None = None) -> Pod:
    condition = {"type": "DisruptionTarget", "status": taken, "reason": "why", "lastTransitionTime": TAKEN_AT}
    metadata = {"name": name, "uid": f"uid of {name}", "creationTimestamp": created, "labels": {"a": "b"}}
    return {
        "metadata": metadata,
        "spec": {"containers": []},
        "status": {"phase": "Running", "conditions": [condition] if taken else []},
    }


def names(pods: list[Any]) -> list[str]:
    return [str(one["metadata"]["name"]) for one in pods]


def test_one_that_is_gone_is_known_to_this_worker_and_the_next(tmp_path: Path) -> None:
    here = TakenPods(tmp_path)

    assert here.with_gone([pod("a", taken="True"), pod("b")]) == [pod("a", taken="True"), pod("b")]

    for known in (here, TakenPods(tmp_path)):
        other, gone = known.with_gone([pod("b")])
        assert other == pod("b")
        assert (gone["metadata"]["name"], gone["status"]["phase"]) == ("a", "Failed")
        assert [one["reason"] for one in gone["status"]["conditions"]] == ["why"]


def test_one_that_was_replaced_or_is_left_alone_is_forgotten(tmp_path: Path) -> None:
    known = TakenPods(tmp_path)
    known.with_gone([pod("a", taken="True"), pod("b", taken="True")])

    assert names(known.with_gone([pod("a", taken="False")])) == ["a", "b"]
    assert names(known.with_gone([])) == ["b"]
    assert names(known.with_gone([pod("c", created="2026-01-01T00:05:01Z")])) == ["c"]
    assert names(known.with_gone([])) == names(TakenPods(tmp_path).with_gone([])) == []


def test_a_disk_that_is_full_costs_the_next_worker_what_it_knew(tmp_path: Path) -> None:
    known = TakenPods(tmp_path / "missing")

    known.with_gone([pod("a", taken="True")])

    assert names(known.with_gone([])) == ["a"]
    assert TakenPods(tmp_path / "missing").with_gone([]) == []


def test_only_so_many_are_known(tmp_path: Path) -> None:
    known = TakenPods(tmp_path)

    known.with_gone([pod(str(number), taken="True") for number in range(MOST_PODS + 10)])

    assert names(known.with_gone([])) == [str(number) for number in range(10, MOST_PODS + 10)]
