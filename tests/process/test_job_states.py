"""A job's way through its states, at a target that fails as it is told to (``fake``) and as a process."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from launchd.client.errors import Refused
from launchd.client.queue_server import Item
from tests.support.house import House, house
from tests.support.waiting import assert_stays, wait_until
from tests.support.wandb_server import KEY, Fault, WandbServer, wandb_server

START_TIMEOUT_SECONDS = 1.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    jobs = {"start_timeout_seconds": START_TIMEOUT_SECONDS, "stop_grace_seconds": 0.3}
    with house(tmp_path_factory.mktemp("house"), max_jobs=4, launchd={"jobs": jobs}) as opened:
        opened.start_agent()
        yield opened


def push_fake(home: House, **knobs: Any) -> str:
    return home.push("train", resource="fake", resource_args={"fake": knobs})


def run_fake(home: House, **knobs: Any) -> Item:
    (ended,) = home.wait_over([push_fake(home, **knobs)], timeout=15.0)
    return ended


def workload(home: House, item_id: str) -> Mapping[str, Any]:
    """Return what the fake target knows of a job."""
    path = home.state_dir / "jobs" / "fake-cluster" / f"{home.job(item_id)['external_name']}.json"
    known: Mapping[str, Any] = msgspec.json.decode(path.read_bytes())
    return known


def phases_of(home: House, item_id: str) -> list[str]:
    """Return the phases that the log says a job went through."""
    lines = [line for line in home.log().splitlines() if "A job changed its state." in line and item_id in line]
    return [field.partition("=")[2] for line in lines for field in line.split() if field.startswith("state=")]


def test_a_job_goes_through_its_states_in_order(home: House) -> None:
    ended = run_fake(home, start_seconds=0.3, run_seconds=0.3)
    assert (ended.state, ended.exit_code, ended.message) == ("FINISHED", 0, None)
    assert phases_of(home, ended.id) == ["fetching", "submitting", "starting", "running"]
    assert workload(home, ended.id)["deleted"]


@pytest.mark.parametrize("creates", [False, True], ids=["nothing was created", "it was created"])
def test_an_unanswered_submission_creates_one_workload(home: House, creates: bool) -> None:
    ended = run_fake(home, submit_unavailable_times=1, submit_creates=creates)
    known = workload(home, ended.id)
    assert (ended.state, known["creations"]) == ("FINISHED", 1)
    assert known["submissions"] == (1 if creates else 2)


def test_a_refused_submission_is_a_failure_with_the_targets_words(home: House) -> None:
    ended = run_fake(home, submit_error="The quota of this project is used up.")
    assert (ended.state, ended.stage) == ("FAILED", "run")
    assert ended.message == "The quota of this project is used up."
    assert workload(home, ended.id)["creations"] == 0


def test_a_target_that_does_not_answer_makes_a_job_unknown_and_not_dead(home: House) -> None:
    item = push_fake(home, inspect_unavailable_times=2, run_seconds=4.0)
    wait_until(lambda: home.phase(item) == "unknown", what="the state is unknown")
    wait_until(lambda: home.item(item).status == "unknown", what="the server is told")
    wait_until(lambda: home.phase(item) == "running", what="the state is known again")
    (ended,) = home.wait_over([item])
    assert ended.state == "FINISHED"
    assert workload(home, item)["creations"] == 1
    assert home.log().count("is lost") == 0


def test_a_job_that_does_not_start_in_time_is_cancelled(home: House) -> None:
    ended = run_fake(home, start_seconds=600.0)
    assert (ended.state, ended.stage) == ("FAILED", "run")
    assert "did not start within 1 s" in (ended.message or "")
    assert workload(home, ended.id)["ends_by_cancel_at"] is not None


def test_a_job_that_starts_in_time_may_run_longer_than_that(home: House) -> None:
    ended = run_fake(home, start_seconds=0.3, run_seconds=START_TIMEOUT_SECONDS + 0.5)
    assert ended.state == "FINISHED"


@pytest.mark.parametrize("code", [1, 2, 77, 255])
def test_the_exit_code_is_reported(home: House, code: int) -> None:
    items = [push_fake(home, exit_code=code), home.push("sh", "-c", f"exit {code}")]
    for ended in home.wait_over(items):
        assert (ended.state, ended.exit_code, ended.stage) == ("FAILED", code, "run")
        assert (ended.message or "").endswith(f" ended with exit code {code}.")


@pytest.mark.parametrize(("name", "code"), [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
def test_a_killed_job_says_what_killed_it(home: House, name: str, code: int) -> None:
    (ended,) = home.wait_over([home.push("sh", "-c", f"kill -{name} $$")])
    assert (ended.state, ended.exit_code) == ("FAILED", code)
    assert ended.message == f"The command was killed by SIG{name}."


def test_a_job_killed_from_outside_fails_with_that_reason(home: House) -> None:
    item = home.push("sleep", "300")
    wait_until(lambda: home.phase(item) == "running", what="the job runs")
    (job,) = [process for process in home.processes() if process.cmdline() == ["sleep", "300"]]
    job.kill()
    (ended,) = home.wait_over([item])
    assert (ended.state, ended.exit_code) == ("FAILED", 137)
    assert "SIGKILL" in (ended.message or "")


@pytest.mark.parametrize("ignores", [False, True])
def test_a_stopped_workload_ends_politely_or_after_the_grace(home: House, ignores: bool) -> None:
    item = push_fake(home, run_seconds=600.0, cancel_ignored=ignores)
    wait_until(lambda: home.phase(item) == "running", what="the job runs")
    home.client.stop_item(item, "changed my mind")
    (ended,) = home.wait_over([item])
    assert (ended.state, ended.message) == ("STOPPED", "The job was stopped: changed my mind.")
    assert workload(home, item)["deleted"]


def test_a_job_that_ends_before_its_stop_has_ended_by_itself(home: House) -> None:
    item = push_fake(home, exit_code=4)
    home.wait_over([item])
    with pytest.raises(Refused):
        home.client.stop_item(item, "too late")
    assert (home.item(item).state, home.item(item).exit_code) == ("FAILED", 4)


# W&B's server, without any of our fields.


@pytest.fixture
def wandb() -> Iterator[WandbServer]:
    with wandb_server("a", "b", lease_seconds=1.5) as server:
        yield server


@pytest.fixture
def wandb_home(home: House, wandb: WandbServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house at W&B's server: the agent, and nothing else of ours."""
    directory = tmp_path_factory.mktemp("wandb")
    opened = House(directory, home.server, max_jobs=1, launchd={})
    supervision = {"poll_seconds": 0.1, "worker_heartbeat_seconds": 0.3}
    opened.configure(
        max_jobs=1, launchd={"supervision": supervision}, entity="me", queues=["a", "b"], stopped_run_timeout=1
    )
    opened.start_agent(WANDB_BASE_URL=wandb.url, WANDB_API_KEY=KEY)
    yield opened
    opened.close()


def push_recording(home: House, wandb: WandbServer, queue: str, name: str, then: str = "") -> str:
    """Queue a job that notes that it ran; twice would be a job that ran twice."""
    script = f"echo {name} >> {home.directory}/ran; {then}"
    return wandb.push(queue, overrides={"entry_point": ["sh", "-c", script]})


def ran(home: House) -> list[str]:
    path = home.directory / "ran"
    return path.read_text().split() if path.exists() else []


def test_queues_are_served_in_turn_and_items_taken_before_they_run(wandb_home: House, wandb: WandbServer) -> None:
    items = [push_recording(wandb_home, wandb, queue, queue) for queue in "aabb"]
    wait_until(lambda: len(ran(wandb_home)) == 4, 15.0, "all jobs ran")
    wait_until(lambda: not wandb_home.status()["jobs"], what="all jobs are over")
    assert [(wandb.state(item), wandb.items[item].acks) for item in items] == [("CLAIMED", 1)] * 4
    assert wandb.popped_from == ["a", "b", "a", "b"]
    assert wandb.asked["failRunQueueItem"] == 0


def test_a_failure_goes_to_the_item_with_message_and_stage(wandb_home: House, wandb: WandbServer) -> None:
    run = push_recording(wandb_home, wandb, "a", "one", "exit 3")
    agent = wandb.push("b", resource="kubernetes")
    wait_until(lambda: wandb.state(run) == wandb.state(agent) == "FAILED", what="both failed")
    assert wandb.items[run].failures == [("The command ended with exit code 3.", "run")]
    ((message, stage),) = wandb.items[agent].failures
    assert stage == "agent"
    assert "The resource kubernetes is not granted on this host" in message


def test_a_run_stopped_on_the_web_page_is_stopped_here(wandb_home: House, wandb: WandbServer) -> None:
    item = push_recording(wandb_home, wandb, "a", "one", "sleep 300")
    wait_until(lambda: wandb_home.phase(item) == "running", what="the job runs")
    wandb.stopped_runs.add(str(wandb.items[item].run_id))
    wait_until(lambda: not wandb_home.status()["jobs"], 15.0, "the job is over")
    assert wandb_home.journal_states() == {item: "stopped"}
    assert wandb.state(item) == "CLAIMED"


def test_stop_polling_ends_the_agent_after_its_job(wandb_home: House, wandb: WandbServer) -> None:
    item = push_recording(wandb_home, wandb, "a", "one", "sleep 1; echo end >> ran")
    wait_until(lambda: ran(wandb_home) == ["one"], what="the job runs")
    wandb.stop_polling = True
    assert wandb_home.agent is not None
    assert wandb_home.agent.wait_gone() == 0
    assert wandb_home.journal_states() == {item: "finished"}
    (statuses,) = wandb.statuses.values()
    assert statuses[-1] == "KILLED"


@pytest.mark.parametrize("done", [False, True], ids=["question lost", "answer lost"])
@pytest.mark.parametrize("fault", [Fault.STATUS_500, Fault.RESET, Fault.GARBAGE])
def test_no_fault_loses_a_job_or_runs_it_twice(wandb_home: House, wandb: WandbServer, fault: Fault, done: bool) -> None:
    operations = ("popFromRunQueue", "ackRunQueueItem", "failRunQueueItem", "LaunchAgent", "updateLaunchAgent")
    wandb.break_operations(fault, *operations, "RunStoppedStatus", done=done)
    items = [push_recording(wandb_home, wandb, queue, f"{queue}{n}", "exit 3") for n in (1, 2) for queue in "ab"]
    wait_until(lambda: all(wandb.state(item) == "FAILED" for item in items), 18.0, "all items are over")
    assert_stays(lambda: sorted(ran(wandb_home)) == ["a1", "a2", "b1", "b2"], 0.3, "the jobs that ran")
    assert {"popFromRunQueue", "ackRunQueueItem", "failRunQueueItem"} <= set(wandb.met)
