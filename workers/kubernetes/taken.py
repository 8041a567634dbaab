"""Pods that the cluster has taken away from a job, remembered: they are gone before their Job says that it failed.

A Job of Kubernetes 1.31 and later fails once its pods are gone; before that, either may be seen first. Owns the note on
disk.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.kubernetes import records
from workers.kubernetes.records import TakenRecord
from workers.kubernetes.status import TAKEN, condition_of, was_replaced

Object = Mapping[str, Any]

#: How many are remembered of one job, the last of them.
MOST_PODS = 64


class TakenPods:
    """The pods of one job that were taken away and not replaced. A worker that takes the job over knows them too."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._noted: dict[str, dict[str, Any]] | None = None

    def with_gone(self, pods: Sequence[Object]) -> list[Object]:
        """Return ``pods``, which are all that there are, and behind them those that were taken away and are gone."""
        noted, present = self._read(), set(map(_uid, pods))
        gone = {uid: pod for uid, pod in noted.items() if uid not in present}
        # Of one that is there, the cluster may have thought better of it.
        fresh = {_uid(pod): _essence(pod, why) for pod in pods if (why := condition_of(pod, TAKEN)) is not None}
        left = {uid: pod for uid, pod in (gone | fresh).items() if not was_replaced(pod, pods)}
        if left.keys() != noted.keys():
            self._write(left)
        return [*pods, *(pod for uid, pod in left.items() if uid not in present)]

    def _read(self) -> dict[str, dict[str, Any]]:
        if self._noted is None:
            self._noted = records.read_taken(self._directory).pods
        return self._noted

    def _write(self, pods: dict[str, dict[str, Any]]) -> None:
        self._noted = dict(list(pods.items())[-MOST_PODS:])
        records.write_taken(self._directory, TakenRecord(self._noted))


def _essence(pod: Object, why: Object) -> dict[str, Any]:
    """Return what of a pod says that it was taken away."""
    metadata = {key: pod["metadata"][key] for key in ("name", "uid", "creationTimestamp") if key in pod["metadata"]}
    return {"metadata": metadata, "status": {"phase": "Failed", "conditions": [dict(why)]}}


def _uid(pod: Object) -> str:
    return str(pod["metadata"].get("uid") or pod["metadata"]["name"])
