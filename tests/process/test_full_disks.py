"""Disks that are full: the agent's own, and the engine's. Each end is a sentence, and all goes on with room."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.engine import BASE_IMAGE, TestEngine, own_engine
from tests.support.server import Account
from tests.support.small_disk import small_disk
from tests.support.testbed import QUICK, Testbed, make_testbed
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.root]


@contextmanager
def opened_testbed(tmp_path: Path, account: Account, engine: TestEngine, **launchd: Any) -> Iterator[Testbed]:
    settings: Mapping[str, Any] = {
        "docker": {"host": engine.address},
        "policy": {"resources": ["local-container"]},
        "jobs": {"stop_grace_seconds": 1.0},
        "supervision": QUICK,
        **launchd,
    }
    try:
        with make_testbed(tmp_path, account, max_jobs=4, launchd=settings) as opened:
            yield opened
    finally:
        engine.remove_containers()


def push(testbed: Testbed, script: str) -> str:
    return testbed.push("sh", "-c", script, resource="local-container", docker={"docker_image": BASE_IMAGE})


def fill(disk: Path) -> Path:
    """Fill a disk to its last byte."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass
    return path


def test_a_full_disk_of_the_agent_costs_output_and_no_job(tmp_path: Path, account: Account, engine: TestEngine) -> None:
    with small_disk(tmp_path / "state", 12) as disk, opened_testbed(tmp_path, account, engine) as testbed:
        agent = testbed.start_agent()
        item = push(testbed, "echo begun; sleep 6; head -c 3000000 /dev/zero; exit 4")
        wait_until(lambda: testbed.phase(item) == "running", 30, "the job runs")
        filler = fill(disk)
        wait_until(lambda: not _running(engine), 40, "the container has ended")

        filler.unlink()

        [over] = testbed.wait_over([item], 40)
        assert (over.state, "exit code 4" in (over.message or "")) == ("FAILED", True)
        assert testbed.wait_over([push(testbed, "echo next")], 40)[0].state == "FINISHED"
        # What could not be noted at its end is an orphan, and goes at the next start.
        agent.terminate()
        testbed.start_agent()
        wait_until(lambda: engine.containers() == {}, 30, "no container is left")
        testbed.close()


def _running(engine: TestEngine) -> list[str]:
    return [name for name, seen in engine.containers().items() if seen["State"]["Running"]]


@pytest.mark.long
@pytest.mark.timeout(200)
def test_a_full_disk_of_the_engine_is_an_error_of_the_jobs_that_need_it(tmp_path: Path, account: Account) -> None:
    with (
        # Sockets of the engine lie there, whose paths the kernel wants short: pytest's own are not.
        TemporaryDirectory(prefix="launchd-disk-") as short,
        small_disk(Path(short) / "disk", 160) as disk,
        own_engine(disk) as engine,
        opened_testbed(tmp_path, account, engine) as testbed,
    ):
        testbed.start_agent()
        other = push(testbed, "sleep 12; exit 3")
        wait_until(lambda: testbed.phase(other) == "running", 30, "another job runs")

        # It makes room before it says so: an engine whose disk is full keeps nothing of what is printed.
        full = push(testbed, 'said=$(dd if=/dev/zero of=/x bs=1M 2>&1); rm /x; echo "$said"; exit 1')

        [over] = testbed.wait_over([full], 60)
        assert over.state == "FAILED"
        assert "No space left on device" in _output(testbed, full)
        filler = fill(disk)
        [refused] = testbed.wait_over([push(testbed, "true")], 60)
        assert refused.state == "FAILED"
        assert "no space left on device" in (refused.message or "")
        filler.unlink()
        assert testbed.wait_over([push(testbed, "true")], 60)[0].state == "FINISHED"
        [ended] = testbed.wait_over([other], 60)
        assert (ended.state, "exit code 3" in (ended.message or "")) == ("FAILED", True)


def _output(testbed: Testbed, item_id: str) -> str:
    name = str(testbed.job(item_id)["workload_name"])
    return (testbed.state_dir / "jobs" / name / "output.log").read_text()
