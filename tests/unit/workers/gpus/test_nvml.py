"""What NVML says, read from a library in its place: in a process of its own, for it is loaded once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.nvml import FakeDriver

LOOK = """
import sys, msgspec
from workers.gpus.nvml import NvmlReader
reader = NvmlReader(sys.argv[1])
for _ in sys.stdin:
    print(msgspec.json.encode(reader.look()).decode(), flush=True)
"""


@pytest.fixture
def driver(tmp_path: Path) -> FakeDriver:
    return FakeDriver(tmp_path, 4)


def looks(driver: FakeDriver, *, sysfs: Path | str = "/none", times: int = 1) -> list[list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(sysfs)],
        env=os.environ | driver.environ,
        input="\n" * times,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def look(driver: FakeDriver, **how: Any) -> list[dict[str, Any]]:
    return looks(driver, **how)[0]


def test_what_there_is(driver: FakeDriver, tmp_path: Path) -> None:
    device = tmp_path / "bus/pci/devices/0000:02:00.0"
    device.mkdir(parents=True)
    (device / "numa_node").write_text("1\n")
    (device / "local_cpulist").write_text("16-31\n")
    driver.change(2, load=40, used=1024)
    driver.say("process 2 4242", "process 2 17", "link 0 2")
    seen = look(driver, sysfs=tmp_path)
    assert [one["gpu"]["uuid"] for one in seen] == driver.uuids
    third = seen[2]
    assert third["gpu"] == {
        "uuid": "GPU-00000002",
        "name": "NVIDIA Stub 80GB",
        "memory": 80 << 30,
        "index": 2,
        "vendor": "nvidia",
        "parent": None,
        "instance": None,
        "numa": 1,
        "processors": "16-31",
        "bus": "0000:02:00.0",
        "linked": ["GPU-00000000"],
        "files": [],
    }
    assert (third["processes"], third["utilisation"], third["memory_used"]) == ([17, 4242], 40.0, 1 << 30)
    assert (seen[0]["gpu"]["linked"], seen[1]["gpu"]["linked"], seen[0]["gpu"]["numa"]) == (["GPU-00000002"], [], None)


def test_instances_take_the_place_of_their_gpu(driver: FakeDriver) -> None:
    driver.change(1, mig=1)
    driver.say("mig 1 0 MIG-a 10240", "mig 1 3 MIG-b 20480", "link 0 1")
    seen = look(driver)
    assert [one["gpu"]["uuid"] for one in seen] == ["GPU-00000000", "MIG-a", "MIG-b", "GPU-00000002", "GPU-00000003"]
    part = seen[2]["gpu"]
    assert (part["parent"], part["instance"], part["index"], part["memory"]) == ("GPU-00000001", 3, 1, 20 << 30)
    assert (part["linked"], seen[2]["utilisation"]) == ([], None)


@pytest.mark.parametrize(
    ("fields", "line", "problem"),
    [
        ({"ecc": 2}, "", "it has 2 memory errors (ECC) that could not be corrected, since it was last reset"),
        ({}, "rows 1 0 1", "it has no spare rows of memory left to replace broken ones"),
        ({}, "rows 1 1 0", "it has to be reset, so that broken rows of its memory are replaced"),
    ],
)
def test_problems_are_told(driver: FakeDriver, fields: dict[str, int], line: str, problem: str) -> None:
    driver.say(line)
    driver.change(1, **fields)
    assert [one["problem"] for one in look(driver)] == [None, problem, None, None]


def test_a_gpu_that_is_lost_is_told_and_the_others_are_seen(driver: FakeDriver) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LOOK, "/none"],
        env=os.environ | driver.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        found = []
        for lost in (0, 1, 2):
            driver.change(1, lost=lost)
            process.stdin.write("\n")
            process.stdin.flush()
            found.append([one["problem"] for one in json.loads(process.stdout.readline())])
    assert found[0] == [None] * 4
    assert found[1] == [None, "NVML answers: GPU is lost", None, None]
    assert found[2] == [None, "the driver has lost it", None, None]


def test_faults_of_the_hardware_are_told_once_and_those_of_programs_never(driver: FakeDriver) -> None:
    driver.say("fault 3 79", "fault 3 13", "fault 0 31")
    first, second = looks(driver, times=2)
    assert [one["faults"] for one in first] == [[], [], [], [79]]
    assert [one["faults"] for one in second] == [[], [], [], []]


def test_a_library_that_does_not_answer_is_said_in_a_sentence(driver: FakeDriver) -> None:
    driver.say("broken")
    done = subprocess.run(
        [sys.executable, "-c", LOOK, "/none"],
        env=os.environ | driver.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "NvmlUnavailable: NVIDIA's management library (NVML) does not answer: " in done.stderr
