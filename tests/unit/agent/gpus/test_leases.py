"""Leases of GPUs: on disk before a job is launched, until its end is, over restarts and records that cannot be read."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from ipc.exits import WorkerExit
from ipc.handles import ExitResult
from ipc.messages import SubmitApproved, Submitting
from ipc.states import JobState
from launchd.agent.gpus import lease_rows
from launchd.agent.journal_queries import find_job
from launchd.client.queue_server import ItemAnswer
from launchd.config.model import GpusConfig
from tests.support.controller_harness import ControllerHarness
from tests.unit.agent.gpus.jobs import FOUR, begin, claim, end, held, make_ready, ordered, waiting


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
