"""A real agent with a driver of GPUs in place: jobs see theirs alone, wait for them, and no GPU has two jobs."""

import json
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.test_metrics import answers, scrape
from tests.support.gate import Gate
from tests.support.nvml import FakeDriver
from tests.support.processes import command_line
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import assert_stays, wait_until

SEES = 'echo "$CUDA_VISIBLE_DEVICES $CUDA_DEVICE_ORDER $NVIDIA_VISIBLE_DEVICES"'
GPUS = {"manage": True, "probe_seconds": 0.2, "probe_timeout_seconds": 1.0}


@pytest.fixture
def driver(tmp_path: Path) -> FakeDriver:
    return FakeDriver(tmp_path, 2)


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account, max_jobs=8, launchd={"gpus": GPUS}) as opened:
        yield opened


def push(testbed: Testbed, gpus: Any, *command: str) -> str:
    args = {"local-process": {"launchd": {"gpus": gpus}}}
    return testbed.push(*(command or ("sh", "-c", SEES)), resource_args=args)


def push_waiting(testbed: Testbed, gate: Gate, gpus: Any) -> str:
    """Queue a job that says what it sees, and waits at the gate."""
    return push(testbed, gpus, "sh", "-c", f"{SEES}; {gate.wait}")


def output(testbed: Testbed, item: str) -> str:
    answer = testbed.ask(command="job", item=item)
    path = Path(answer["job"]["log_path"]) if answer["ok"] else None
    return path.read_text() if path is not None and path.exists() else ""


def seen_by(testbed: Testbed, item: str) -> list[str]:
    """Return the UUIDs that a job sees, once it says so."""
    line = wait_until(lambda: output(testbed, item).partition("\n")[0], what="the job says what it sees")
    cuda, order, nvidia = line.split(" ")
    assert order == "PCI_BUS_ID"
    assert nvidia == (cuda if cuda != "-1" else "void")
    return [] if cuda == "-1" else cuda.split(",")


def holders(testbed: Testbed) -> dict[str, str | None]:
    return {gpu["uuid"]: gpu["item_id"] for gpu in testbed.status()["gpus"]["gpus"]}


def wait_known(testbed: Testbed) -> None:
    wait_until(lambda: testbed.status()["gpus"]["known"], what="the GPUs are known")


def wait_free(testbed: Testbed, count: int) -> None:
    wait_until(lambda: sum(_is_free(gpu) for gpu in testbed.status()["gpus"]["gpus"]) == count, what="GPUs are free")


def _is_free(gpu: dict[str, Any]) -> bool:
    return gpu["item_id"] is None and gpu["hindrance"] is None


def states(testbed: Testbed, items: Sequence[str]) -> list[str]:
    return [item.state for item in testbed.wait_over(items)]


def test_jobs_of_one_two_and_all_gpus(testbed: Testbed, driver: FakeDriver, gate: Gate) -> None:
    testbed.start_agent(**driver.environ)
    one, other = push_waiting(testbed, gate, 1), push_waiting(testbed, gate, 1)
    seen = [seen_by(testbed, one), seen_by(testbed, other)]
    assert sorted(seen) == [[uuid] for uuid in driver.uuids]
    assert holders(testbed) == {seen[0][0]: one, seen[1][0]: other}

    # Nothing is claimed while no GPU is free: another host may have one.
    two, everything = push(testbed, 2), push(testbed, "all")
    assert_stays(lambda: testbed.item(two).state == "PENDING", 0.5, "the item in the queue")
    gate.open()

    assert states(testbed, [one, other, two, everything]) == ["FINISHED"] * 4
    assert seen_by(testbed, two) == seen_by(testbed, everything) == driver.uuids
    wait_free(testbed, 2)


def test_a_job_that_asks_for_none_sees_none(testbed: Testbed, driver: FakeDriver) -> None:
    testbed.start_agent(**driver.environ)
    item = testbed.push("sh", "-c", SEES)
    assert states(testbed, [item]) == ["FINISHED"]
    assert seen_by(testbed, item) == []


def test_what_does_not_fit_stays_in_the_queue_and_can_be_stopped(
    testbed: Testbed, driver: FakeDriver, gate: Gate
) -> None:
    """At the queue server of launchd; where the server cannot be asked, it waits on its host (`test_grants.py`)."""
    testbed.start_agent(**driver.environ)
    running = push_waiting(testbed, gate, 1)
    seen_by(testbed, running)
    large, stopped = push(testbed, 2), push(testbed, "all")
    assert_stays(lambda: testbed.item(large).state == "PENDING", 0.5, "the item in the queue")
    assert testbed.status()["gpus"]["waiting"] == 0
    testbed.client.stop_item(large, "too large")
    assert states(testbed, [large]) == ["STOPPED"]
    gate.open()
    assert states(testbed, [running, stopped]) == ["FINISHED", "FINISHED"]


def test_leases_survive_a_killed_supervisor(testbed: Testbed, driver: FakeDriver, gate: Gate) -> None:
    agent = testbed.start_agent(**driver.environ)
    running = push_waiting(testbed, gate, 1)
    (has,) = seen_by(testbed, running)
    waiting = push(testbed, 2)
    fence = {gpu["uuid"]: gpu["fence"] for gpu in testbed.status()["gpus"]["gpus"]}[has]
    agent.kill()

    testbed.start_agent(**driver.environ)
    wait_known(testbed)
    assert holders(testbed)[has] == running
    assert {gpu["uuid"]: gpu["fence"] for gpu in testbed.status()["gpus"]["gpus"]}[has] == fence
    assert_stays(lambda: testbed.item(waiting).state == "PENDING", 0.5, "the item that does not fit yet")
    gate.open()
    assert states(testbed, [running, waiting]) == ["FINISHED", "FINISHED"]
    fences = [lease[0] for lease in testbed._in_journal("SELECT fence FROM gpu_leases")]
    assert fences == []
    second = Gate(testbed.directory / "second")
    after = push_waiting(testbed, second, 1)
    seen_by(testbed, after)
    assert max(gpu["fence"] or 0 for gpu in testbed.status()["gpus"]["gpus"]) > fence + 1
    second.open()
    testbed.wait_over([after])


def test_an_agent_with_one_visible_gpu_has_that_one(testbed: Testbed, driver: FakeDriver) -> None:
    testbed.start_agent(**driver.environ, CUDA_VISIBLE_DEVICES="1")
    large, item = push(testbed, 2), push(testbed, "all")
    testbed.wait_over([item])
    assert seen_by(testbed, item) == [driver.uuids[1]]
    wait_until(lambda: "host" in why(testbed, large), what="the server knows what there is")
    assert why(testbed, large).endswith("has 1 NVIDIA Stub 80GB.")


def why(testbed: Testbed, item: str) -> str:
    """Return why the server says that an item waits, where no agent could ever fit it."""
    found = testbed.client.why(item)
    assert found is not None
    return " ".join(reason.sentence for reason in found.why if reason.code == "FITS_NO_AGENT")


def test_a_gpu_that_others_use_is_not_given_out(testbed: Testbed, driver: FakeDriver) -> None:
    driver.say(f"process 0 {os.getpid()}")
    testbed.start_agent(**driver.environ)
    item = push(testbed, 1)
    testbed.wait_over([item])
    assert seen_by(testbed, item) == [driver.uuids[1]]
    everything = push(testbed, "all")
    assert_stays(lambda: testbed.item(everything).state == "PENDING", 0.5, "it waits for both")
    hindrance = testbed.status()["gpus"]["gpus"][0]["hindrance"]
    assert hindrance == f"process {os.getpid()} is on it, of no job that has it"
    driver.say()
    assert states(testbed, [everything]) == ["FINISHED"]


def test_what_gpus_did_is_in_the_outcome(testbed: Testbed, driver: FakeDriver, gate: Gate) -> None:
    driver.change(1, lost=1)
    testbed.start_agent(**driver.environ)
    item = push_waiting(testbed, gate, 1)
    assert seen_by(testbed, item) == driver.uuids[:1]
    for load, used in ((80, 4096), (20, 1024)):
        driver.change(0, load=load, used=used)
        wait_until(lambda load=load: testbed.status()["gpus"]["gpus"][0]["utilisation"] == load, what="it is seen")
    gate.open()
    testbed.wait_over([item])
    (use,) = testbed.job(item)["gpu_use"]
    assert (use["uuid"], use["utilisation_peak"], use["memory_peak"]) == (driver.uuids[0], 80, 4096 << 20)
    assert 0 < use["utilisation_mean"] < 80


def test_a_driver_that_hangs_costs_the_probe_alone(testbed: Testbed, driver: FakeDriver, gate: Gate) -> None:
    agent = testbed.start_agent(**driver.environ)
    running = push_waiting(testbed, gate, 1)
    seen_by(testbed, running)
    first = wait_until(lambda: probes(agent.pid), what="there is a probe")
    driver.say("hang")
    wait_until(lambda: "has not answered for 1 s" in (testbed.status()["problem"] or ""), what="it is told")
    gate.open()
    testbed.wait_over([running])
    driver.say()
    wait_until(lambda: testbed.status()["problem"] is None, what="another probe has answered")
    wait_free(testbed, 2)
    assert len(probes(agent.pid)) == 1
    assert probes(agent.pid) != first


def test_a_probe_that_is_killed_is_replaced_and_none_outlives_its_agent(testbed: Testbed, driver: FakeDriver) -> None:
    agent = testbed.start_agent(**driver.environ)
    (first,) = wait_until(lambda: probes(agent.pid), what="there is a probe")
    os.kill(first, signal.SIGKILL)
    (second,) = wait_until(lambda: [pid for pid in probes(agent.pid) if pid != first], what="there is another one")
    agent.kill()
    wait_until(lambda: not psutil.pid_exists(second), what="the probe has ended with its agent")


def probes(agent: int) -> list[int]:
    below = psutil.Process(agent).children(recursive=True)
    return [process.pid for process in below if "GPU probe" in command_line(process)]


def test_a_host_without_gpus_has_no_probe_and_says_why_it_gives_out_none(testbed: Testbed) -> None:
    testbed.configure(max_jobs=4, launchd={})
    agent = testbed.start_agent()
    item = testbed.push("sh", "-c", 'test -z "${CUDA_VISIBLE_DEVICES+set}"')
    unfit = push(testbed, 1)
    assert states(testbed, [item]) == ["FINISHED"]
    assert "could ever give it" in why(testbed, unfit)
    assert probes(agent.pid) == []
    assert testbed.status()["gpus"]["managed"] is False


def test_a_static_list_needs_no_driver(testbed: Testbed, gate: Gate) -> None:
    testbed.configure(max_jobs=4, launchd={"gpus": {"devices": ["GPU-a", {"uuid": "GPU-b", "memory": "80 GiB"}]}})
    agent = testbed.start_agent()
    first = push_waiting(testbed, gate, 1)
    assert seen_by(testbed, first) == ["GPU-a"]
    everything = push(testbed, "all")
    assert_stays(lambda: testbed.item(everything).state == "PENDING", 0.5, "it waits for both")
    gate.open()
    testbed.wait_over([first, everything])
    assert seen_by(testbed, everything) == ["GPU-a", "GPU-b"]
    assert probes(agent.pid) == []


def test_jobs_that_fail_at_once_set_a_gpu_aside_until_it_is_returned(testbed: Testbed, driver: FakeDriver) -> None:
    testbed.configure(max_jobs=1, launchd={"gpus": GPUS | {"fast_failures": 2}})
    driver.change(1, ecc=3)
    testbed.start_agent(**driver.environ)
    failing = [push(testbed, 1, "false") for _ in range(2)]
    assert states(testbed, failing) == ["FAILED", "FAILED"]
    wait_free(testbed, 0)
    first, second = testbed.status()["gpus"]["gpus"]
    assert first["set_aside"].startswith("2 jobs in a row failed on it within 30 s")
    assert second["set_aside"].startswith("it has 3 memory errors (ECC) that could not be corrected")
    after = push(testbed, 1)
    assert_stays(lambda: testbed.item(after).state == "PENDING", 0.5, "the item in the queue")
    assert testbed.ask(command="return_gpu", gpu="0") == {"ok": True, "returned": ["0"]}
    assert states(testbed, [after]) == ["FINISHED"]
    assert testbed.ask(command="return_gpu", gpu="all") == {"ok": True, "returned": ["1"]}
    wait_free(testbed, 2)
    assert testbed.ask(command="return_gpu", gpu="7") == {"ok": False, "error": "This agent gives out no GPU 7."}
    assert json.loads(testbed._in_journal("SELECT value FROM meta WHERE key = 'gpus_set_aside'")[0][0])["marks"] == {}


def test_two_agents_of_one_host_give_out_no_gpu_twice(
    testbed: Testbed, driver: FakeDriver, tmp_path: Path, account: Account
) -> None:
    first = testbed.start_agent(**driver.environ, CUDA_VISIBLE_DEVICES="0")
    wait_known(testbed)
    other_directory = tmp_path / "other"
    other_directory.mkdir()
    with make_testbed(other_directory, account, max_jobs=8, launchd={"gpus": GPUS}) as other:
        other.start_agent(**driver.environ)
        wait_known(other)
        mine, theirs = (gpu["set_aside"] for gpu in other.status()["gpus"]["gpus"])
        assert (mine, theirs) == (f"another agent of this host (process {first.pid}) gives it out", None)


def test_the_gauges_of_gpus_follow_the_driver(testbed: Testbed, driver: FakeDriver, gate: Gate, tmp_path: Path) -> None:
    place = tmp_path / "agent.sock"
    testbed.configure(max_jobs=8, launchd={"gpus": GPUS, "metrics": {"listen": f"unix:{place}"}})
    driver.change(0, load=70, used=4096)
    testbed.start_agent(**driver.environ)
    wait_known(testbed)
    wait_until(lambda: answers(place), 20, "the agent's metrics")
    item = push_waiting(testbed, gate, 1)
    mine = str(driver.uuids.index(*seen_by(testbed, item)))
    other = "1" if mine == "0" else "0"

    def gauge(name: str) -> dict[str, float]:
        return {labels[0]: value for (full, labels), value in scrape(place).items() if full == f"launchd_agent_{name}"}

    wait_until(lambda: gauge("gpu_leased") == {mine: 1.0, other: 0.0}, what="the lease is shown")
    assert (gauge("gpus")["leased"], sum(gauge("gpus").values())) == (1.0, 2.0)
    wait_until(lambda: gauge("gpu_utilisation_ratio")["0"] == 0.7, what="the load is shown")
    assert gauge("gpu_memory_used_bytes")["0"] == 4096 << 20
    assert set(gauge("gpu_memory_bytes").values()) == {float(80 << 30)}
    driver.change(0, load=10, used=1024)
    wait_until(lambda: gauge("gpu_utilisation_ratio")["0"] == 0.1, what="the gauge follows")
    gate.open()
    assert states(testbed, [item]) == ["FINISHED"]
    wait_until(lambda: set(gauge("gpu_leased").values()) == {0.0}, what="none is leased")
