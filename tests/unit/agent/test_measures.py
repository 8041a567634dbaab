"""What the agent counts, by histories of a job controller, and what its state becomes."""

from typing import Any

import pytest

from ipc.exits import WorkerExit
from ipc.handles import ExitResult
from ipc.messages import Built, Finished, PhaseChanged
from ipc.states import JobState
from launchd.agent.events import Polled
from launchd.agent.job_table import JobTable
from launchd.agent.measures import (
    BUILDS,
    GPU_LEASED,
    GPU_UTILISATION,
    GPUS,
    JOBS,
    JOBS_ENDED,
    OUTBOX_AGE,
    PHASE_SECONDS,
    PICKUP_SECONDS,
    POLL_SECONDS,
    SERVER_SILENCE,
    SLOTS,
    WORKER_DEATHS,
    AgentMeasures,
    state_families,
)
from launchd.metrics.model import Family, Metric
from tests.support.controller_harness import ControllerHarness


def values(families: list[Family], metric: Metric) -> dict[tuple[str, ...], float]:
    """The values of a counter or gauge, or how many a histogram has seen."""
    (family,) = [one for one in families if one.metric is metric]
    seen = {one.labels: float(one.counts[-1]) for one in family.distributions}
    return seen | {sample.labels: sample.value for sample in family.samples}


def counted(harness: ControllerHarness, metric: Metric) -> dict[tuple[str, ...], float]:
    return {labels: value for labels, value in values(harness.controller.measures.families(), metric).items() if value}


def test_a_job_is_counted_by_its_phases_its_pickup_and_its_end(harness: ControllerHarness) -> None:
    harness.claim()
    harness.clock.advance(30.0)
    for state in (JobState.FETCHING, JobState.BUILDING, JobState.SUBMITTING, JobState.RUNNING, JobState.RUNNING):
        harness.report(PhaseChanged(state))
        harness.clock.advance(2.0)
    harness.report(Finished(JobState.FINISHED, ExitResult(code=0)))
    harness.exit()

    assert counted(harness, JOBS_ENDED) == {("default", "finished"): 1}
    assert counted(harness, PICKUP_SECONDS) == {("default",): 1}
    phases = ("claimed", "fetching", "building", "submitting", "running")
    assert counted(harness, PHASE_SECONDS) == {(phase,): 1 for phase in phases}
    families = harness.controller.measures.families()
    (family,) = [one for one in families if one.metric is PHASE_SECONDS]
    seconds = {one.labels[0]: one.sum for one in family.distributions if one.sum}
    assert seconds == {"claimed": 30, "fetching": 2, "building": 2, "submitting": 2, "running": 4}


def test_what_was_built_or_reused_is_counted(harness: ControllerHarness) -> None:
    harness.bring_to("building")
    harness.report(Built("environment", reused=False))
    harness.report(Built("environment", reused=True))
    harness.report(Built("image", reused=True))

    assert counted(harness, BUILDS) == {
        ("environment", "built"): 1,
        ("environment", "reused"): 1,
        ("image", "reused"): 1,
    }


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (WorkerExit.CRASHED, "error"),
        (3, "error"),
        (WorkerExit.DONE, "no_outcome"),
        (-9, "signal"),
        (WorkerExit.STARVED, "starved"),
        (WorkerExit.UNKNOWN, "fork_server"),
    ],
)
def test_the_loss_of_a_worker_has_a_cause(harness: ControllerHarness, code: int, cause: str) -> None:
    harness.bring_to("fetching")
    harness.exit(code)

    assert counted(harness, WORKER_DEATHS) == {(cause,): 1}


def test_a_worker_that_the_agent_ends_is_counted_by_the_reason(harness: ControllerHarness) -> None:
    harness.bring_to("fetching")
    harness.worker().kill("no heartbeat of it arrived for 60 s")
    harness.exit(-9)
    harness.wait(100_000.0)
    harness.report(PhaseChanged(JobState.FETCHING))
    harness.wait(100_000.0)
    harness.exit(-9)

    assert counted(harness, WORKER_DEATHS) == {("silence",): 1, ("timeout",): 1}


@pytest.mark.parametrize("code", [WorkerExit.DETACHED, WorkerExit.ORPHANED])
def test_a_worker_that_leaves_is_not_lost(harness: ControllerHarness, code: int) -> None:
    harness.bring_to("running")
    harness.exit(code)

    assert counted(harness, WORKER_DEATHS) == {}


def test_polls_are_timed_by_what_they_bring() -> None:
    measures = AgentMeasures()
    measures.polled(Polled(0.2, 3))
    measures.polled(Polled(25.0, 0))
    measures.polled(Polled(25.0, 0))

    assert values(measures.families(), POLL_SECONDS) == {("items",): 1, ("nothing",): 2}


def gpu(label: str, **more: Any) -> dict[str, Any]:
    texts = dict.fromkeys(("item_id", "hindrance", "set_aside", "utilisation", "memory_used"))
    return {"label": label, "memory": 80 * 2**30} | texts | more


def test_the_state_of_an_agent_with_gpus() -> None:
    gpus = [
        gpu("0", item_id="a", utilisation=50.0, memory_used=1),
        gpu("1", set_aside="it is broken", hindrance="it is broken"),
        gpu("2", hindrance="process 3 is on it"),
        gpu("3", utilisation=0.0),
    ]
    status = {
        "agent": {"state": "polling", "started_at": 1.0, "queues": ["b"], "max_jobs": -1, "max_schedulers": 1},
        "server": {"reachable": False, "last_contact_seconds": None},
        "outbox": {"waiting": 0, "oldest_seconds": None, "dead": 0},
        "problem": None,
        "unreadable_jobs": [],
        "gpus": {"gpus": gpus},
    }

    families = state_families(status, JobTable())

    assert values(families, GPUS) == {("leased",): 1, ("free",): 1, ("set_aside",): 1, ("busy",): 1}
    assert values(families, GPU_LEASED) == {("0",): 1, ("1",): 0, ("2",): 0, ("3",): 0}
    assert values(families, GPU_UTILISATION) == {("0",): 0.5, ("3",): 0}
    assert values(families, SLOTS) == {("job",): float("inf"), ("scheduler",): 1}
    assert values(families, JOBS) == {("b", "running"): 0}
    assert (values(families, SERVER_SILENCE), values(families, OUTBOX_AGE)) == ({}, {(): 0})
