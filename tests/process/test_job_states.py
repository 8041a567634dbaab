"""A job's way through its states, at a target that fails as it is told to (``fake``) and as a process."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from launchd.client.errors import Refused
from launchd.client.queue_server import Item
from tests.support.processes import command_line
from tests.support.server import RunningServer
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

START_TIMEOUT_SECONDS = 1.0


@pytest.fixture(scope="module")
def testbed(queue_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    directory, account = tmp_path_factory.mktemp("testbed"), queue_server.account()
    jobs = {"start_timeout_seconds": START_TIMEOUT_SECONDS, "stop_grace_seconds": 0.3}
    with make_testbed(directory, account, max_jobs=4, launchd={"jobs": jobs}) as opened:
        opened.start_agent()
        yield opened


def push_fake(testbed: Testbed, **knobs: Any) -> str:
    return testbed.push("train", resource="fake", resource_args={"fake": knobs})


def run_fake(testbed: Testbed, **knobs: Any) -> Item:
    (ended,) = testbed.wait_over([push_fake(testbed, **knobs)], timeout=15.0)
    return ended


def workload(testbed: Testbed, item_id: str) -> Mapping[str, Any]:
    """Return what the fake target knows of a job."""
    path = testbed.state_dir / "jobs" / "fake-cluster" / f"{testbed.job(item_id)['workload_name']}.json"
    known: Mapping[str, Any] = msgspec.json.decode(path.read_bytes())
    return known


def phases_of(testbed: Testbed, item_id: str) -> list[str]:
    """Return the phases that the log says a job went through."""
    lines = [line for line in testbed.log().splitlines() if "A job changed its state." in line and item_id in line]
    return [field.partition("=")[2] for line in lines for field in line.split() if field.startswith("state=")]


def test_a_job_goes_through_its_states_in_order(testbed: Testbed) -> None:
    ended = run_fake(testbed, start_seconds=0.3, run_seconds=0.3)
    assert (ended.state, ended.exit_code, ended.message) == ("FINISHED", 0, None)
    assert phases_of(testbed, ended.id) == ["fetching", "submitting", "starting", "running"]
    assert workload(testbed, ended.id)["deleted"]


@pytest.mark.parametrize("creates", [False, True], ids=["nothing was created", "it was created"])
def test_an_unanswered_submission_creates_one_workload(testbed: Testbed, creates: bool) -> None:
    ended = run_fake(testbed, submit_unavailable_times=1, submit_creates=creates)
    known = workload(testbed, ended.id)
    assert (ended.state, known["creations"]) == ("FINISHED", 1)
    assert known["submissions"] == (1 if creates else 2)


def test_a_refused_submission_is_a_failure_with_the_targets_words(testbed: Testbed) -> None:
    ended = run_fake(testbed, submit_error="The quota of this project is used up.")
    assert (ended.state, ended.stage) == ("FAILED", "run")
    assert ended.message == "The quota of this project is used up."
    assert workload(testbed, ended.id)["creations"] == 0


def test_a_target_that_does_not_answer_makes_a_job_unknown_and_not_dead(testbed: Testbed) -> None:
    item = push_fake(testbed, inspect_unavailable_times=2, run_seconds=4.0)
    wait_until(lambda: testbed.phase(item) == "unknown", what="the state is unknown")
    wait_until(lambda: testbed.item(item).status == "unknown", what="the server is told")
    wait_until(lambda: testbed.phase(item) == "running", what="the state is known again")
    (ended,) = testbed.wait_over([item])
    assert ended.state == "FINISHED"
    assert workload(testbed, item)["creations"] == 1
    assert testbed.log().count("is lost") == 0


def test_a_job_that_does_not_start_in_time_is_cancelled(testbed: Testbed) -> None:
    ended = run_fake(testbed, start_seconds=600.0)
    assert (ended.state, ended.stage) == ("FAILED", "run")
    assert "did not start within 1 s" in (ended.message or "")
    assert workload(testbed, ended.id)["ends_by_cancel_at"] is not None


def test_a_job_that_starts_in_time_may_run_longer_than_that(testbed: Testbed) -> None:
    ended = run_fake(testbed, start_seconds=0.3, run_seconds=START_TIMEOUT_SECONDS + 0.5)
    assert ended.state == "FINISHED"


def test_a_job_that_writes_more_than_its_limit_of_disk_is_ended(testbed: Testbed) -> None:
    args = {"local-process": {"disk": "2 MiB"}}
    item = testbed.push("sh", "-c", "head -c 4000000 /dev/zero > file; sleep 300", resource_args=args)
    (ended,) = testbed.wait_over([item])
    assert (ended.state, ended.stage) == ("FAILED", "run")
    assert "takes more than its limit of 2 MiB of disk" in (ended.message or "")


@pytest.mark.parametrize("code", [1, 2, 77, 255])
def test_the_exit_code_is_reported(testbed: Testbed, code: int) -> None:
    items = [push_fake(testbed, exit_code=code), testbed.push("sh", "-c", f"exit {code}")]
    for ended in testbed.wait_over(items):
        assert (ended.state, ended.exit_code, ended.stage) == ("FAILED", code, "run")
        assert (ended.message or "").endswith(f" ended with exit code {code}.")


@pytest.mark.parametrize(("name", "code"), [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
def test_a_killed_job_says_what_killed_it(testbed: Testbed, name: str, code: int) -> None:
    (ended,) = testbed.wait_over([testbed.push("sh", "-c", f"kill -{name} $$")])
    assert (ended.state, ended.exit_code) == ("FAILED", code)
    assert ended.message == f"The command was killed by SIG{name}."


def test_a_job_killed_from_outside_fails_with_that_reason(testbed: Testbed) -> None:
    item = testbed.push("sleep", "300")
    wait_until(lambda: testbed.phase(item) == "running", what="the job runs")
    (job,) = [process for process in testbed.processes() if command_line(process) == "sleep 300"]
    job.kill()
    (ended,) = testbed.wait_over([item])
    assert (ended.state, ended.exit_code) == ("FAILED", 137)
    assert "SIGKILL" in (ended.message or "")


@pytest.mark.parametrize("ignores", [False, True])
def test_a_stopped_workload_ends_politely_or_after_the_grace(testbed: Testbed, ignores: bool) -> None:
    item = push_fake(testbed, run_seconds=600.0, cancel_ignored=ignores)
    wait_until(lambda: testbed.phase(item) == "running", what="the job runs")
    testbed.client.stop_item(item, "changed my mind")
    (ended,) = testbed.wait_over([item])
    assert (ended.state, ended.message) == ("STOPPED", "The job was stopped: changed my mind.")
    assert workload(testbed, item)["deleted"]


def test_a_job_that_ends_before_its_stop_has_ended_by_itself(testbed: Testbed) -> None:
    item = push_fake(testbed, exit_code=4)
    testbed.wait_over([item])
    with pytest.raises(Refused):
        testbed.client.stop_item(item, "too late")
    assert (testbed.item(item).state, testbed.item(item).exit_code) == ("FAILED", 4)
