"""Jobs that ask for GPUs, brought to where a test wants them, and who has what."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from ipc.exits import WorkerExit
from ipc.handles import ExitResult
from ipc.messages import Finished, PhaseChanged, Submitting
from ipc.states import JobState
from ipc.work_order import read_order
from tests.support.controller_harness import ControllerHarness
from tests.support.gpus import a_gpu

FINE = ExitResult(0)
FOUR = tuple(a_gpu(index) for index in range(4))


def begin(harness: ControllerHarness, item_id: str, gpus: Any, **section: Any) -> None:
    """Have a job claimed, whose worker begins with it."""
    harness.claim(item_id, resource_args={"local-process": {"launchd": {"gpus": gpus} | section}})
    harness.acknowledged(item_id)


def make_ready(harness: ControllerHarness, item_id: str) -> None:
    """Have the worker of a job come to the point where the workload is created."""
    for event in (
        PhaseChanged(JobState.FETCHING),
        PhaseChanged(JobState.SUBMITTING),
        Submitting(harness.job(item_id).name),
    ):
        harness.report(event, item_id)


def claim(harness: ControllerHarness, item_id: str, gpus: Any, **section: Any) -> None:
    """Have a job claimed that is ready to start at once."""
    begin(harness, item_id, gpus, **section)
    if item_id in harness.pool.busy:
        make_ready(harness, item_id)


def end(
    harness: ControllerHarness, item_id: str, state: JobState = JobState.FINISHED, result: ExitResult = FINE
) -> None:
    """Have a job run to its end."""
    if harness.job(item_id).state is JobState.CLAIMED:
        make_ready(harness, item_id)
    harness.report(PhaseChanged(JobState.RUNNING), item_id)
    harness.report(Finished(state, result), item_id)
    harness.exit(WorkerExit.DONE, item_id)
    harness.turn()


def held(harness: ControllerHarness) -> dict[str, list[str]]:
    """Return the GPUs of each item, as they are on disk."""
    with closing(sqlite3.connect(harness.journal.path)) as db:
        found: dict[str, list[str]] = {}
        for item_id, gpu in db.execute("SELECT item_id, gpu FROM gpu_leases ORDER BY gpu"):
            found.setdefault(item_id, []).append(gpu)
    return found


def waiting(harness: ControllerHarness) -> list[str]:
    return [active.job.item_id for active in harness.controller.grants.waiting()]


def ordered(harness: ControllerHarness, item_id: str) -> list[str] | None:
    """Return the GPUs in the work order of an item's job."""
    gpus = read_order(Path(harness.controller.context.job_directory(harness.job(item_id).name))).gpus
    return None if gpus is None else [gpu.uuid for gpu in gpus]
