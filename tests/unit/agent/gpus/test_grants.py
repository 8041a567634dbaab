"""Which job gets which GPUs and when: over a real journal, with a clock and a probe of the test's own."""

import random
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ipc.errors import ErrorReport
from ipc.exits import WorkerExit
from ipc.gpu_probe import SeenGpu
from ipc.gpus import GpuKind, GpuSummary
from ipc.handles import ExitResult
from ipc.messages import Failed, Finished, PhaseChanged, Stop, SubmitApproved, Submitting
from ipc.states import JobState
from ipc.work_order import read_order
from launchd.agent.gpus import lease_rows
from launchd.agent.job_table import ActiveJob
from launchd.agent.journal_queries import find_job
from launchd.client.queue_server import ItemAnswer
from launchd.config.model import GpusConfig
from tests.support.controller_harness import ControllerHarness
from tests.support.gpus import a_gpu, a_sample, an_instance
from tests.support.jobs import a_job

FINE = ExitResult(0)
FOUR = tuple(a_gpu(index) for index in range(4))


@pytest.fixture
def static(tmp_path: Path) -> Iterator[ControllerHarness]:
    """An agent with a list of four GPUs in its configuration."""
    harness = ControllerHarness(tmp_path, GpusConfig(devices=FOUR))
    yield harness
    harness.close()


@pytest.fixture
def probed(tmp_path: Path) -> Iterator[ControllerHarness]:
    """An agent with a probe, which has seen nothing yet."""
    harness = ControllerHarness(tmp_path, GpusConfig())
    yield harness
    harness.close()


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


def test_a_lease_is_on_disk_before_the_work_order_and_goes_with_the_end(static: ControllerHarness) -> None:
    claim(static, "a", 2)
    assert held(static) == {"a": ["GPU-0", "GPU-1"]}
    assert ordered(static, "a") == ["GPU-0", "GPU-1"]
    claim(static, "b", 0)
    assert ordered(static, "b") == []
    end(static, "a")
    assert held(static) == {}


def test_a_gpu_is_not_given_out_before_the_end_of_its_job_is_on_disk(static: ControllerHarness) -> None:
    claim(static, "a", "all")
    claim(static, "b", 1)
    with static.unwritable_journal():
        end(static, "a")
        assert waiting(static) == ["b"]
        assert held(static) == {"a": [gpu.uuid for gpu in FOUR]}
    static.turn()
    static.turn()
    assert held(static) == {"b": ["GPU-0"]}


def test_each_lease_has_a_larger_number_also_after_a_restart(static: ControllerHarness) -> None:
    numbers = []
    for item in "abc":
        claim(static, item, 1)
        assert static.gpus is not None
        lease = static.gpus.lease_of(item)
        assert lease is not None
        numbers.append(lease.fence)
        end(static, item)
        static.restart()
    assert numbers == [1, 2, 3]


def test_jobs_get_gpus_in_their_order_and_pass_only_what_others_cannot_use(static: ControllerHarness) -> None:
    claim(static, "three", 3)
    claim(static, "two", 2)
    claim(static, "one", 1)
    # The free GPU is kept for the one that came first.
    assert waiting(static) == ["two", "one"]
    claim(static, "cpu", 0)
    assert waiting(static) == ["two", "one"]
    end(static, "three")
    assert waiting(static) == []
    assert held(static) == {"two": ["GPU-0", "GPU-1"], "one": ["GPU-2"]}


def test_a_job_for_a_named_gpu_keeps_no_other_one_from_later_jobs(static: ControllerHarness) -> None:
    claim(static, "a", "device=3")
    claim(static, "b", "device=GPU-3")
    claim(static, "c", 2)
    assert waiting(static) == ["b"]
    assert held(static) == {"a": ["GPU-3"], "c": ["GPU-0", "GPU-1"]}


def test_all_waits_for_all_and_is_not_passed(static: ControllerHarness) -> None:
    claim(static, "a", 1)
    claim(static, "all", "all")
    claim(static, "b", 1)
    assert waiting(static) == ["all", "b"]
    end(static, "a")
    assert held(static) == {"all": [gpu.uuid for gpu in FOUR]}
    end(static, "all")
    assert held(static) == {"b": ["GPU-0"]}


def test_a_job_that_waits_says_for_what_holds_no_name_and_is_stopped(static: ControllerHarness) -> None:
    claim(static, "a", "all")
    claim(static, "b", 2, gpu_memory="40 GiB")
    assert (static.job("b").state, static.job("b").message, static.job("b").recorded) == (
        JobState.SUBMITTING,
        "It waits for 2 GPUs with at least 40 GiB.",
        False,
    )
    assert static.job("b").acknowledged
    assert static.reporter.statuses[-1].message == "It waits for 2 GPUs with at least 40 GiB."
    assert SubmitApproved not in static.worker("b").commands()
    # Waiting is no work of its worker: the limit of the phase does not count.
    static.wait(10_000.0)
    assert static.worker("b").kill_reason is None
    static.stop("b")
    assert static.worker("b").commands()[-1] is Stop
    static.report(Finished(JobState.STOPPED, ExitResult()), "b")
    static.exit(WorkerExit.DONE, "b")
    assert static.job("b").state is JobState.STOPPED
    assert static.controller.grants.status()["waiting"] == 0


def test_a_job_that_is_built_holds_no_gpu_and_what_it_will_need_is_promised(static: ControllerHarness) -> None:
    begin(static, "building", 3)
    assert held(static) == {}
    assert ordered(static, "building") == []
    assert (static.controller.grants.summary().free, static.controller.grants.is_owing) == (1, False)
    # One that is ready before may use what is promised; the queue server is told of none then.
    claim(static, "quick", 2)
    assert held(static) == {"quick": ["GPU-0", "GPU-1"]}
    assert static.controller.grants.is_owing
    end(static, "quick")
    assert (static.controller.grants.summary().free, static.controller.grants.is_owing) == (1, False)
    make_ready(static, "building")
    assert held(static) == {"building": ["GPU-0", "GPU-1", "GPU-2"]}
    assert ordered(static, "building") == ["GPU-0", "GPU-1", "GPU-2"]
    assert static.worker("building").commands()[-1] is SubmitApproved
    assert static.job("building").recorded


def test_the_workload_is_permitted_once_the_lease_is_on_disk(static: ControllerHarness) -> None:
    begin(static, "a", 1)
    with static.unwritable_journal():
        make_ready(static, "a")
        assert SubmitApproved not in static.worker("a").commands()
    static.turn()
    assert held(static) == {"a": ["GPU-0"]}
    assert static.worker("a").commands()[-1] is SubmitApproved


def test_a_job_whose_gpus_cannot_be_noted_fails_and_gives_them_back(static: ControllerHarness) -> None:
    begin(static, "a", 1)
    directory = Path(static.controller.context.job_directory(static.job("a").name))
    directory.rename(directory.with_suffix(".gone"))
    make_ready(static, "a")
    assert static.job("a").state is JobState.FAILED
    assert "could not be noted" in (static.job("a").message or "")
    assert held(static) == {}


def test_a_worker_that_is_lost_while_it_waits_costs_its_job_nothing(static: ControllerHarness) -> None:
    claim(static, "a", "all")
    claim(static, "b", 1)
    static.exit(WorkerExit.CRASHED, "b")
    assert (static.job("b").state, waiting(static)) == (JobState.CLAIMED, [])
    static.wait(1.0)
    make_ready(static, "b")
    end(static, "a")
    assert held(static) == {"b": ["GPU-0"]}


@pytest.mark.parametrize(
    ("gpus", "why"),
    [
        (5, "The job asks for 5 GPUs, and this host has 4 (H100)."),
        ("device=9", "The job asks for GPU 9, and this host has 4 (H100)."),
    ],
)
def test_what_no_waiting_will_bring_fails_with_the_reason(static: ControllerHarness, gpus: Any, why: str) -> None:
    claim(static, "a", 1)
    static.claim("b", resource_args={"local-process": {"launchd": {"gpus": gpus}}})
    assert static.job("b").state is JobState.FAILED
    assert static.job("b").message == f"{why} Launch it where there are some."


def test_an_agent_that_gives_out_none_says_why(tmp_path: Path) -> None:
    harness = ControllerHarness(tmp_path)
    harness.claim("a", resource_args={"local-process": {"launchd": {"gpus": 1}}})
    harness.claim("b", resource_args={"local-process": {"launchd": {"gpus": "many"}}})
    harness.claim("c")
    assert harness.job("a").message == (
        "The job asks for 1 GPU, and the agent of this host gives out none: it looks for none."
        " Launch it where there are some."
    )
    assert "must be a number of GPUs" in (harness.job("b").message or "")
    assert ordered(harness, "c") is None
    harness.close()


def test_a_lost_worker_costs_no_lease_and_a_dropped_item_returns_it(static: ControllerHarness) -> None:
    claim(static, "a", 2)
    static.exit(WorkerExit.CRASHED, "a")
    static.wait(1.0)
    assert held(static) == {"a": ["GPU-0", "GPU-1"]}
    assert ordered(static, "a") == ["GPU-0", "GPU-1"]
    static.claim("b", resource_args={"local-process": {"launchd": {"gpus": 1}}})
    static.acknowledged("b", answer=ItemAnswer.LEASE_ENDED)
    assert held(static) == {"a": ["GPU-0", "GPU-1"]}


def test_a_journal_of_the_version_before_leases_is_read(static: ControllerHarness) -> None:
    static.bring_to("submitted", "cpu")
    static.close()
    with closing(sqlite3.connect(static.journal.path)) as db:
        db.executescript("DROP TABLE gpu_leases; PRAGMA user_version = 2;")
        assert find_job(db, "cpu") is not None
    static.restart_closed()
    assert [active.job.item_id for active in static.table] == ["cpu"]
    claim(static, "a", 1)
    assert held(static) == {"a": ["GPU-0"]}


def test_leases_survive_restarts_and_a_changed_inventory(static: ControllerHarness) -> None:
    static.bring_to("assigned", "cpu")
    claim(static, "a", "device=3")
    static.report(Submitting(static.job("a").name), "a")
    static.gpus_config = GpusConfig(devices=FOUR[:3])
    static.restart()
    assert held(static) == {"a": ["GPU-3"]}
    claim(static, "all", "all")
    assert held(static) == {"a": ["GPU-3"], "all": ["GPU-0", "GPU-1", "GPU-2"]}
    static.gpus_config = GpusConfig(devices=FOUR)
    static.restart()
    claim(static, "b", 1)
    assert waiting(static) == ["b"]


def test_the_lease_of_a_record_that_cannot_be_read_is_kept_until_it_is_returned(static: ControllerHarness) -> None:
    claim(static, "a", 1)
    static.report(Submitting(static.job("a").name), "a")
    static.close()
    with closing(sqlite3.connect(static.journal.path)) as db:
        db.execute("UPDATE jobs SET record = 'torn'")
        db.commit()
    static.restart_closed()
    assert held(static) == {"a": ["GPU-0"]}
    claim(static, "all", "all")
    assert waiting(static) == ["all"]
    static.controller.grants.return_to_use("0")
    static.turn()
    static.turn()
    assert held(static) == {"all": [gpu.uuid for gpu in FOUR]}


def test_a_job_that_the_journal_has_lost_brings_its_gpus_along(static: ControllerHarness) -> None:
    claim(static, "a", "device=2")
    static.report(Submitting(static.job("a").name), "a")
    with closing(sqlite3.connect(static.journal.path)) as db:
        db.execute("DELETE FROM gpu_leases")
        db.commit()
    static.restart()
    assert held(static) == {"a": ["GPU-2"]}


def test_an_unreadable_row_is_a_lease_all_the_same(static: ControllerHarness) -> None:
    claim(static, "a", "device=2")
    static.report(Submitting(static.job("a").name), "a")
    with closing(sqlite3.connect(static.journal.path)) as db:
        db.execute("UPDATE gpu_leases SET record = '[]'")
        db.commit()
    static.restart()
    assert lease_rows.LeaseRows(static.journal).load()[0].gpus[0].uuid == "GPU-2"
    claim(static, "b", "device=2")
    assert waiting(static) == ["b"]


def test_a_process_that_cannot_be_killed_keeps_the_gpus_of_its_job_over_restarts(static: ControllerHarness) -> None:
    process = subprocess.Popen(["sleep", "600"])
    try:
        claim(static, "a", 1)
        end(static, "a", JobState.FAILED, ExitResult(1, survivors=(process.pid,)))
        assert static.job("a").state is JobState.FAILED
        assert held(static) == {"a": ["GPU-0"]}
        static.restart()
        assert held(static) == {"a": ["GPU-0"]}
    finally:
        process.kill()
        process.wait()
    assert static.gpus is not None
    static.clock.advance(6.0)
    static.gpus.tick()
    static.turn()
    assert held(static) == {}


# -- with a probe


def test_nothing_is_given_out_before_the_gpus_are_known(probed: ControllerHarness) -> None:
    claim(probed, "a", 1)
    assert probed.gpus is not None
    assert (waiting(probed), probed.controller.grants.is_owing) == (["a"], True)
    probed.gpus.on_probe_failed("The driver of the GPUs has not answered for 30 s.")
    assert probed.controller.grants.problem == "The driver of the GPUs has not answered for 30 s."
    probed.gpus.on_sample(a_sample(FOUR))
    assert probed.controller.grants.is_due
    probed.turn()
    assert held(probed) == {"a": ["GPU-0"]}
    assert (probed.controller.grants.is_owing, probed.controller.grants.summary().free) == (False, 3)


def test_a_returned_gpu_is_looked_at_before_it_is_given_out_again(probed: ControllerHarness) -> None:
    assert probed.gpus is not None
    probed.gpus.on_sample(a_sample(FOUR[:1]))
    claim(probed, "a", 1)
    claim(probed, "b", 1)
    end(probed, "a")
    assert probed.asked == 1
    # One that was on its way says nothing about what came after it.
    probed.gpus.on_sample(a_sample(FOUR[:1], answers=0))
    probed.turn()
    assert waiting(probed) == ["b"]
    probed.gpus.on_sample(a_sample([SeenGpu(FOUR[0], processes=(17, 18))], answers=1))
    probed.turn()
    assert waiting(probed) == ["b"]
    (shown,) = probed.gpus.status()
    assert shown["hindrance"] == "processes 17, 18 are on it, of no job that has it"
    probed.gpus.on_sample(a_sample(FOUR[:1], answers=1))
    probed.turn()
    assert held(probed) == {"b": ["GPU-0"]}


def test_a_gpu_with_a_problem_is_set_aside_while_it_has_that(probed: ControllerHarness) -> None:
    assert probed.gpus is not None
    probed.gpus.on_sample(a_sample([SeenGpu(FOUR[0], problem="it is hot"), FOUR[1]]))
    claim(probed, "a", "all")
    assert held(probed) == {"a": ["GPU-1"]}
    claim(probed, "b", 2)
    assert waiting(probed) == ["b"]
    end(probed, "a")
    probed.gpus.on_sample(a_sample(FOUR[:2], answers=1))
    probed.turn()
    assert held(probed) == {"b": ["GPU-0", "GPU-1"]}


def test_a_problem_can_be_put_up_with(probed: ControllerHarness) -> None:
    assert probed.gpus is not None
    sample = a_sample([SeenGpu(FOUR[0], problem="it is hot")])
    probed.gpus.on_sample(sample)
    assert probed.gpus.free() == []
    assert probed.controller.grants.return_to_use("0") == ["0"]
    probed.turn()
    probed.restart()
    assert probed.gpus is not None
    probed.gpus.on_sample(sample)
    assert probed.gpus.free() == [FOUR[0]]
    probed.gpus.on_sample(a_sample([SeenGpu(FOUR[0], problem="it burns")]))
    assert probed.gpus.free() == []


def test_a_fault_of_the_hardware_sets_a_gpu_aside_until_it_is_returned(probed: ControllerHarness) -> None:
    assert probed.gpus is not None
    probed.gpus.on_sample(a_sample([SeenGpu(FOUR[0], faults=(79,)), FOUR[1]]))
    probed.gpus.on_sample(a_sample(FOUR[:2]))
    assert probed.gpus.free() == [FOUR[1]]
    probed.turn()
    probed.restart()
    assert probed.gpus is not None
    probed.gpus.on_sample(a_sample(FOUR[:2]))
    probed.clock.advance(1e6)
    probed.gpus.tick()
    assert probed.gpus.free() == [FOUR[1]]
    assert "XID 79" in probed.gpus.status()[0]["set_aside"]
    assert probed.controller.grants.return_to_use("GPU-0") == ["0"]
    assert probed.gpus.free() == [FOUR[0], FOUR[1]]


def test_a_lost_gpu_still_counts_and_divided_ones_take_its_place(probed: ControllerHarness) -> None:
    assert probed.gpus is not None
    probed.gpus.on_sample(a_sample(FOUR[:2]))
    probed.gpus.on_sample(a_sample(FOUR[:1]))
    claim(probed, "a", 2)
    assert waiting(probed) == ["a"]
    assert probed.gpus.status()[1]["set_aside"] == "the driver does not show it any more"
    parts = [an_instance(1, 0), an_instance(1, 1)]
    probed.gpus.on_sample(a_sample([FOUR[0], *parts]))
    assert [shown["label"] for shown in probed.gpus.status()] == ["0", "1:0", "1:1"]
    probed.turn()
    # Two whole ones there are no more.
    assert probed.job("a").state is JobState.FAILED


def test_an_instance_and_its_gpu_have_one_job(static: ControllerHarness) -> None:
    static.gpus_config = GpusConfig(devices=(FOUR[0], an_instance(0, 0), an_instance(0, 1)))
    static.restart()
    claim(static, "part", "device=0:0")
    claim(static, "whole", "device=0")
    claim(static, "other", "device=0:1")
    assert waiting(static) == ["whole"]
    assert held(static) == {"part": ["MIG-0-0"], "other": ["MIG-0-1"]}
    end(static, "part")
    end(static, "other")
    assert held(static) == {"whole": ["GPU-0"]}
    claim(static, "next", "device=0:0")
    assert waiting(static) == ["next"]


# -- jobs that fail at once


def fail_at_once(harness: ControllerHarness, item_id: str) -> None:
    claim(harness, item_id, 1)
    end(harness, item_id, JobState.FAILED, ExitResult(1))


def test_failures_in_a_row_set_a_gpu_aside_for_a_growing_time(static: ControllerHarness) -> None:
    static.gpus_config = GpusConfig(devices=FOUR[:1], fast_failures=2, set_aside_seconds=100.0)
    static.restart()
    for number, seconds in enumerate((100.0, 200.0)):
        fail_at_once(static, f"a{number}")
        if number == 0:
            assert static.gpus is not None
            assert static.gpus.free() == [FOUR[0]]
            fail_at_once(static, "b")
        assert static.gpus is not None
        assert static.gpus.free() == []
        assert "jobs in a row failed on it within 30 s" in static.gpus.status()[0]["set_aside"]
        static.clock.advance(seconds - 1)
        static.gpus.tick()
        assert static.gpus.free() == []
        static.clock.advance(1)
        static.gpus.tick()
        assert static.gpus.free() == [FOUR[0]]


def test_failures_that_say_nothing_of_the_gpu_do_not_count(static: ControllerHarness) -> None:
    static.gpus_config = GpusConfig(devices=FOUR[:1], fast_failures=1)
    static.restart()
    assert static.gpus is not None
    claim(static, "build", 1)
    static.report(PhaseChanged(JobState.BUILDING), "build")
    static.report(Failed(ErrorReport("build", "BuildError", "No.")), "build")
    static.exit(WorkerExit.DONE, "build")
    claim(static, "late", 1)
    static.report(Submitting(static.job("late").name), "late")
    static.report(PhaseChanged(JobState.RUNNING), "late")
    static.clock.advance(31)
    static.report(Finished(JobState.FAILED, ExitResult(1)), "late")
    static.exit(WorkerExit.DONE, "late")
    assert static.gpus.free() == [FOUR[0]]
    # What the engine refuses because of a GPU does.
    claim(static, "refused", 1)
    static.report(Submitting(static.job("refused").name), "refused")
    static.report(Failed(ErrorReport("run", "SubmitError", "No device.")), "refused")
    static.exit(WorkerExit.DONE, "refused")
    assert static.gpus.free() == []


def test_a_job_that_finishes_forgives_the_failures_before_it(static: ControllerHarness) -> None:
    static.gpus_config = GpusConfig(devices=FOUR[:1], fast_failures=2)
    static.restart()
    fail_at_once(static, "a")
    claim(static, "b", 1)
    end(static, "b")
    fail_at_once(static, "c")
    assert static.gpus is not None
    assert static.gpus.free() == [FOUR[0]]


def test_what_a_gpu_did_is_in_the_record_of_the_ended_job(probed: ControllerHarness) -> None:
    assert probed.gpus is not None
    probed.gpus.on_sample(a_sample(FOUR[:1]))
    claim(probed, "a", 1)
    for load, used in ((90.0, 100), (None, 300), (30.0, None)):
        probed.gpus.on_sample(a_sample([SeenGpu(FOUR[0], utilisation=load, memory_used=used)]))
    end(probed, "a")
    (use,) = probed.job("a").gpu_use
    assert (use.label, use.samples, use.utilisation_mean, use.utilisation_peak) == ("0", 3, 60.0, 90.0)
    assert (use.memory_mean, use.memory_peak) == (200.0, 300)


# -- many jobs


@pytest.mark.parametrize("seed", range(3))
def test_no_gpu_has_two_jobs_and_no_job_starves_whatever_happens(probed: ControllerHarness, seed: int) -> None:
    draw = random.Random(seed)
    gpus = [*(a_gpu(index, numa=index // 3) for index in range(6)), an_instance(6, 0), an_instance(6, 1, 20)]
    requests = (1, 1, 1, 2, 3, 4, 0, "all", "device=5", "device=6:1")
    hours: dict[str, int] = {}
    probed_pool(probed).on_sample(a_sample(gpus))
    number = 0
    for step in range(400):
        running = [item for item in probed.pool.busy if item in {active.job.item_id for active in probed.table}]
        act = draw.random()
        if act < 0.4 and len(probed.table) < 30:
            number += 1
            claim(probed, f"job-{number}", draw.choice(requests))
            hours[f"job-{number}"] = step
        elif act < 0.8 and running:
            end(probed, draw.choice(running))
        elif act < 0.9:
            bad = {gpu.uuid for gpu in gpus if draw.random() < 0.1}
            sick = [SeenGpu(gpu, problem="it is ill" if gpu.uuid in bad else None) for gpu in gpus]
            probed_pool(probed).on_sample(a_sample(sick, answers=probed.asked))
        elif act < 0.95:
            probed.restart()
            probed_pool(probed).on_sample(a_sample(gpus))
        probed_pool(probed).on_sample(a_sample(gpus, answers=probed.asked))
        probed.turn()
        leases = [uuid for uuids in held(probed).values() for uuid in uuids]
        assert len(leases) == len(set(leases)), "a GPU has two jobs"
        assert set(held(probed)) <= {active.job.item_id for active in probed.table}, "a lease has no job"
        first = waiting(probed)[:1]
        assert not first or not fits(probed, first[0]), "a job waits beside GPUs that it could have"
    for _ in range(200):
        running = list(probed.pool.busy)
        if not running:
            break
        end(probed, running[0])
        probed_pool(probed).on_sample(a_sample(gpus, answers=probed.asked))
        probed.turn()
    assert (waiting(probed), held(probed), len(probed.table)) == ([], {}, 0)


def probed_pool(harness: ControllerHarness) -> Any:
    assert harness.gpus is not None
    return harness.gpus


def fits(harness: ControllerHarness, item_id: str) -> bool:
    active = harness.table.get(item_id)
    assert active is not None
    request = active.gpus_asked
    assert request is not None
    pool = probed_pool(harness)
    return pool.find(pool.free(), request) is not None


@pytest.mark.parametrize("last_gib", [80, 8], ids=["none left", "one left that is too small"])
def test_a_decision_about_eight_gpus_and_1000_waiting_jobs_takes_milliseconds(tmp_path: Path, last_gib: int) -> None:
    eight = tuple(a_gpu(index, 80 if index < 7 else last_gib) for index in range(8))
    harness = ControllerHarness(tmp_path, GpusConfig(devices=eight))
    pool = probed_pool(harness)
    pool.give(a_job("first"), eight[: 7 if last_gib < 80 else 8])
    for number in range(1000):
        args = {"local-process": {"launchd": {"gpus": number % 7 + 1, "gpu_memory": "9 GiB"}}}
        spec = replace(a_job(str(number)).spec, resource="local-process", resource_args=args)
        harness.table.put(
            ActiveJob(replace(a_job(str(number)), spec=spec, state=JobState.CLAIMED), awaiting_submit=bool(number % 2))
        )
    harness.controller.grants.give()
    took = []
    for _ in range(20):
        pool.version += 1
        begun = time.perf_counter()
        harness.controller.grants.give()
        took.append(time.perf_counter() - begun)
    harness.close()
    print(f"a decision takes {min(took) * 1000:.2f} ms at best, {sorted(took)[10] * 1000:.2f} ms in the median")  # noqa: T201 (a figure)
    assert min(took) < 0.005


def test_what_a_queue_server_is_told(probed: ControllerHarness) -> None:
    pool = probed_pool(probed)
    pool.on_sample(a_sample([*FOUR[:2], SeenGpu(FOUR[2], problem="it is hot"), an_instance(3, 0)]))
    claim(probed, "a", "device=1")
    assert pool.summary() == GpuSummary(
        kinds=(
            GpuKind("H100", 80 << 30, free=1, usable=2, total=3),
            GpuKind("MIG 10g", 10 << 30, free=1, usable=1, total=1, is_instance=True),
        ),
        devices=("GPU-0", "0", "GPU-1", "1", "GPU-2", "2", "MIG-3-0", "3:0"),
        free_devices=("GPU-0", "0", "MIG-3-0", "3:0"),
    )
