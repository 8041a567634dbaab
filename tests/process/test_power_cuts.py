"""What the records of a job promise after a power cut, on a disk that loses what was not synced."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from benchmarks.faults.lossy_disk.disk import LossyDisk
from benchmarks.faults.requirements import FUSE
from ipc.job_files import was_started
from ipc.settings import JobsConfig
from ipc.work_order import write_order
from tests.contract.runners.support import Job
from workers.output import OutputWriter, numbered
from workers.processes import ProcessKey
from workers.shim import records
from workers.shim.records import ExitRecord, StartedRecord

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not os.access(FUSE, os.R_OK | os.W_OK), reason=f"needs {FUSE}"),
]

CUTS = 40
SHIM = ProcessKey(2**22, 1, "another boot")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LossyDisk]:
    opened = LossyDisk(tmp_path / "disk", mebibytes=64)
    yield opened
    opened.close()


def start(disk: LossyDisk, number: int) -> Path:
    """Begin a job as supervisor, worker and shim do; returns its directory."""
    directory = disk.mount_point / "jobs" / f"launchd-{number}-1"
    order = Job(disk.mount_point / "unused").order
    write_order(msgspec.structs.replace(order, directory=str(directory)))
    records.reserve_exit(directory)
    records.write_started(directory, StartedRecord(SHIM, 1.0))
    return directory


def cut(disk: LossyDisk, seed: int) -> None:
    disk.cut(seed)
    disk.end()
    disk.mount()


def test_a_command_that_may_have_run_is_known_after_each_cut(disk: LossyDisk) -> None:
    for seed in range(CUTS):
        directory = start(disk, seed)
        cut(disk, seed)
        assert was_started(directory)
        started = records.read_started(directory)
        assert started is not None
        assert started.shim == SHIM


def test_the_output_of_a_job_survives_with_its_outcome(disk: LossyDisk) -> None:
    text = b"".join(b"line %d\n" % number for number in range(1000))
    for seed in range(CUTS):
        directory = start(disk, seed)
        OutputWriter(directory, JobsConfig(output_max_bytes=4000)).write(text)
        records.write_exit(directory, ExitRecord(2.0, code=0))
        cut(disk, seed)
        assert records.read_exit(directory) == ExitRecord(2.0, code=0)
        assert b"".join(numbered(directory, number).read_bytes() for number in (2, 1, 0)) == text
