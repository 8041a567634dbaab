"""A real agent at W&B's server: one made of recorded requests, without any of our operations."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.plain_proxy import plain_proxy
from tests.support.server import RunningServer
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import assert_stays, wait_until
from tests.support.wandb_faults import Fault
from tests.support.wandb_server import KEY, Flavour, WandbServer, wandb_server

LEASE_SECONDS = 1.5

#: One of each class; every fault at every operation is in tests/unit/agent/test_wandb_faults.py.
FAULTS = (
    Fault.STATUS_400,
    Fault.ERRORS_200,
    Fault.STATUS_500,
    Fault.RETRY_AFTER,
    Fault.PROXY_404,
    Fault.NULL_DATA,
    Fault.GARBAGE,
    Fault.RESET,
)

#: What ``wandb.init`` and the end of its run do, as far as an agent notices.
INIT = """
import base64, json, os, urllib.request
key = base64.b64encode(b"api:" + os.environ["WANDB_API_KEY"].encode()).decode()
def send(path, value):
    request = urllib.request.Request(os.environ["WANDB_BASE_URL"] + path, json.dumps(value).encode())
    request.add_header("Authorization", "Basic " + key)
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request)
query = "mutation UpsertBucket($name: String) {"
query += " upsertBucket(input: {name: $name, modelName: \\"tests\\"}) { inserted } }"
run = os.environ["WANDB_RUN_ID"]
send("/graphql", {"query": query, "operationName": "UpsertBucket", "variables": {"name": run}})
place = "/files/" + os.environ["WANDB_ENTITY"] + "/tests/" + run + "/file_stream"
send(place, {"complete": True, "exitcode": 0})
"""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, queue_server: RunningServer) -> Iterator[Testbed]:
    with make_testbed(tmp_path_factory.mktemp("testbed"), queue_server.account()) as opened:
        yield opened


@contextmanager
def agent_at(server: WandbServer, ours: Testbed, directory: Path, **top: object) -> Iterator[Testbed]:
    """A testbed at a W&B server: of launchd only the agent."""
    opened = Testbed(directory, ours.server, max_jobs=1, launchd={})
    supervision = {"poll_seconds": 0.1, "worker_heartbeat_seconds": 0.3}
    jobs = {"init_grace_seconds": 0}
    settings = {"entity": "me", "queues": ["a", "b"], "stopped_run_timeout": 1, **top}
    opened.configure(max_jobs=1, launchd={"supervision": supervision, "jobs": jobs}, **settings)
    opened.start_agent(WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    try:
        yield opened
    finally:
        if opened.agent is not None and opened.agent.exit_code() is None:
            opened.agent.terminate()
        opened.close()


@pytest.fixture
def wandb() -> Iterator[WandbServer]:
    with wandb_server("a", "b", lease_seconds=LEASE_SECONDS) as server:
        yield server
        assert server.foreign == []


@pytest.fixture
def testbed(ours: Testbed, wandb: WandbServer, tmp_path: Path) -> Iterator[Testbed]:
    with agent_at(wandb, ours, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_wandb() -> Iterator[WandbServer]:
    with wandb_server("a", "b", lease_seconds=LEASE_SECONDS) as server:
        yield server
        assert server.foreign == []


@pytest.fixture(scope="module")
def shared_home(
    ours: Testbed, shared_wandb: WandbServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Testbed]:
    with agent_at(shared_wandb, ours, tmp_path_factory.mktemp("wandb")) as opened:
        wait_until(lambda: shared_wandb.asked["popFromRunQueue"], what="it polls")
        yield opened


def push_recording(testbed: Testbed, wandb: WandbServer, queue: str, name: str, then: str = "") -> str:
    """Queue a job that notes that it ran; twice would be a job that ran twice."""
    script = f"echo {name} >> {testbed.directory}/ran; {then}"
    return wandb.push(queue, overrides={"entry_point": ["sh", "-c", script]})


def ran(testbed: Testbed) -> list[str]:
    path = testbed.directory / "ran"
    return path.read_text().split() if path.exists() else []


def test_queues_are_served_in_turn_and_items_taken_before_they_run(testbed: Testbed, wandb: WandbServer) -> None:
    init = f"{sys.executable} -c '{INIT}'"
    items = [push_recording(testbed, wandb, queue, queue, init) for queue in "aabb"]
    wait_until(lambda: len(ran(testbed)) == 4, 20.0, "all jobs ran")
    wait_until(lambda: not testbed.status()["jobs"] and not testbed.outbox(), what="all jobs are over")
    assert [(wandb.state(item), wandb.items[item].acks) for item in items] == [("CLAIMED", 1)] * 4
    assert wandb.popped_from == ["a", "b", "a", "b"]
    assert wandb.asked["failRunQueueItem"] == 0


def test_a_failure_goes_to_the_item_with_message_stage_and_log(testbed: Testbed, wandb: WandbServer) -> None:
    run = push_recording(testbed, wandb, "a", "one", "echo no data; exit 3")
    agent = wandb.push("b", resource="kubernetes")
    init = push_recording(testbed, wandb, "a", "two")
    wait_until(lambda: {wandb.state(item) for item in (run, agent, init)} == {"FAILED"}, 15.0, "all failed")
    sentence = "The submitted run was not successfully started: The command ended with exit code 3."
    assert wandb.items[run].failures == [(sentence, "run")]
    without_init = "The submitted job exited successfully but failed to call wandb.init."
    assert wandb.items[init].failures == [(without_init, "run")]
    ((message, stage),) = wandb.items[agent].failures
    assert stage == "agent"
    assert "The resource kubernetes is not granted on this host" in message
    (path,) = wandb.items[run].file_paths or ()
    files = wandb.runs["name-of-agent-1"].files
    assert f"{sentence}\n\nThe end of output.log:\nno data\n" == files[path].decode()
    assert testbed.agent is not None
    assert testbed.agent.terminate() == 0
    assert wandb.runs["name-of-agent-1"].state == "finished"


def test_a_run_stopped_on_the_web_page_is_stopped_here(testbed: Testbed, wandb: WandbServer) -> None:
    item = push_recording(testbed, wandb, "a", "one", "sleep 300")
    wait_until(lambda: testbed.phase(item) == "running", what="the job runs")
    wandb.start_run(str(wandb.items[item].run_id))
    wandb.stopped_runs.add(str(wandb.items[item].run_id))
    wait_until(lambda: not testbed.status()["jobs"] and not testbed.outbox(), 15.0, "the job is over")
    assert testbed.journal_states() == {item: "stopped"}
    assert wandb.state(item) == "CLAIMED"


def test_stop_polling_ends_the_agent_after_its_job(testbed: Testbed, wandb: WandbServer) -> None:
    item = push_recording(testbed, wandb, "a", "one", "sleep 1; echo end >> ran")
    wait_until(lambda: ran(testbed) == ["one"], what="the job runs")
    wandb.stop_polling = True
    assert testbed.agent is not None
    assert testbed.agent.wait_gone() == 0
    assert testbed.journal_states() == {item: "finished"}
    (statuses,) = wandb.statuses.values()
    assert statuses[-1] == "KILLED"


@pytest.mark.parametrize("done", [False, True], ids=["question lost", "answer lost"])
@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_loses_a_job_or_runs_it_twice(
    shared_home: Testbed, shared_wandb: WandbServer, fault: Fault, done: bool
) -> None:
    operations = ("popFromRunQueue", "ackRunQueueItem", "GetRunQueueItem", "RunState", "CreateRunFiles", "PUT")
    often = ("failRunQueueItem", "LaunchAgent", "updateLaunchAgent", "RunStoppedStatus")
    shared_wandb.break_operations(fault, *operations, *often, done=done)
    before = len(ran(shared_home))
    names = [f"{fault.name}-{done}-{queue}" for queue in "ab"]
    pushed = [push_recording(shared_home, shared_wandb, name[-1], name, "exit 3") for name in names]
    over = f"all items are over ({shared_home.agent_log})"
    wait_until(lambda: all(shared_wandb.state(item) == "FAILED" for item in pushed), 20.0, over)
    assert_stays(lambda: sorted(ran(shared_home)[before:]) == names, 0.3, "the jobs that ran")
    assert not any(shared_wandb.faults[operation].times for operation in ("popFromRunQueue", "failRunQueueItem"))


def test_a_job_of_a_code_artifact_runs_in_spite_of_faults(shared_home: Testbed, shared_wandb: WandbServer) -> None:
    script = f"open({str(shared_home.directory / 'ran')!r}, 'a').write('job\\n'); raise SystemExit(3)"
    code = shared_wandb.keep("code", "demo", {"main.py": script.encode()})
    source = {"artifact": f"wandb-artifact://_id/{code}", "entrypoint": ["python", "main.py"]}
    shared_wandb.make_job("made", source)
    shared_wandb.break_operations(Fault.RESET, "ArtifactMembershipByName", "GET")
    before = len(ran(shared_home))

    item = shared_wandb.push("a", job="me/tests/made:latest")

    wait_until(lambda: shared_wandb.state(item) == "FAILED", 30.0, "the job is over")
    assert ran(shared_home)[before:] == ["job"]
    ((message, stage),) = shared_wandb.items[item].failures
    assert (stage, "exit code 3" in message) == ("run", True)


@pytest.mark.parametrize("flavour", [Flavour.OLD, Flavour.HIDDEN])
def test_an_agent_serves_other_kinds_of_servers(ours: Testbed, tmp_path: Path, flavour: Flavour) -> None:
    with (
        wandb_server("a", "b", flavour=flavour) as server,
        agent_at(server, ours, tmp_path) as testbed,
    ):
        item = push_recording(testbed, server, "b", "one", "exit 3")
        wait_until(lambda: server.state(item) == "FAILED", 15.0, "the item is over")
        wait_until(lambda: not testbed.outbox(), what="all is told")
        assert ran(testbed) == ["one"]
        assert testbed.agent is not None
        assert testbed.agent.terminate() == 0
        assert server.foreign == []


def test_our_own_server_is_served_in_wandbs_words_alone(ours: Testbed, tmp_path: Path) -> None:
    with plain_proxy(ours.server.url) as proxy:
        testbed = Testbed(tmp_path, ours.server, max_jobs=2, launchd={})
        supervision = {"poll_seconds": 0.1, "worker_heartbeat_seconds": 0.3}
        testbed.configure(max_jobs=2, launchd={"supervision": supervision, "jobs": {"init_grace_seconds": 0}})
        testbed.start_agent(WANDB_BASE_URL=proxy.url)
        begun = testbed.push(sys.executable, "-c", INIT)
        never = testbed.push("sh", "-c", "echo no data; exit 3")
        ended = testbed.wait_over([begun, never])
        assert testbed.agent is not None
        testbed.agent.terminate()
        testbed.close()
    assert proxy.foreign == []
    assert {"popFromRunQueue", "ackRunQueueItem", "failRunQueueItem", "CreateRunFiles"} <= proxy.passed
    assert [item.state for item in ended] == ["FINISHED", "FAILED"]
    assert ended[1].message == "The submitted run was not successfully started: The command ended with exit code 3."
    assert ended[1].stage == "run"


# Sweeps.


def push_scheduler(testbed: Testbed, wandb: WandbServer, sweep: str, then: str = "") -> str:
    """Queue a scheduler as `wandb launch-sweep` does: its arguments in quotes, made for a shell."""
    script = f'echo "$WANDB_RUN_ID" "$WANDB_LAUNCH" "$@" >> {testbed.directory}/schedulers; {then}'
    overrides = {"entry_point": ["sh", "-c", script, "wandb"], "args": ["--queue", "'my q'", "--project", "'proj1'"]}
    spec = {"uri": "placeholder-uri-scheduler", "run_id": sweep, "overrides": overrides, "resource": "local-process"}
    return wandb.push("a", **spec)


def schedulers(testbed: Testbed) -> list[str]:
    path = testbed.directory / "schedulers"
    return path.read_text().splitlines() if path.exists() else []


def test_a_scheduler_runs_beside_jobs_and_a_second_one_waits(testbed: Testbed, wandb: WandbServer) -> None:
    wandb.sweeps |= {"s1": "RUNNING", "s2": "RUNNING"}
    end = testbed.directory / "end"
    first = push_scheduler(testbed, wandb, "s1", f"until [ -e {end} ]; do sleep 0.1; done")
    wait_until(lambda: len(schedulers(testbed)) == 1, what="the first runs")
    second = push_scheduler(testbed, wandb, "s2")
    job = push_recording(testbed, wandb, "b", "job")
    wait_until(lambda: ran(testbed) == ["job"], what="a job runs beside it")
    wait_until(lambda: wandb.state(second) == "LEASED", what="the second was seen")
    assert_stays(lambda: len(schedulers(testbed)) == 1, 0.5, "one scheduler")
    end.touch()
    wait_until(lambda: len(schedulers(testbed)) == 2, 15.0, "the second runs once its lease is over")
    assert schedulers(testbed) == [f"s{number} True --queue my q --project proj1" for number in (1, 2)]
    wait_until(lambda: wandb.state(first) == wandb.state(second) == wandb.state(job) == "FAILED", what="no run began")
    assert wandb.sweeps == {"s1": "RUNNING", "s2": "RUNNING"}


def test_the_sweep_of_a_failed_scheduler_is_cancelled(testbed: Testbed, wandb: WandbServer) -> None:
    wandb.sweeps["s1"] = "RUNNING"
    push_scheduler(testbed, wandb, "s1", "exit 1")
    wait_until(lambda: wandb.sweeps["s1"] == "CANCELED", 15.0, "the sweep is cancelled")


@pytest.mark.parametrize(("state", "runs"), [("RUNNING", True), ("FINISHED", False)])
def test_a_run_of_a_sweep_needs_its_sweep(testbed: Testbed, wandb: WandbServer, state: str, runs: bool) -> None:
    wandb.sweeps["s1"] = state
    overrides = {"entry_point": ["sh", "-c", f"echo $WANDB_SWEEP_ID >> {testbed.directory}/ran"]}
    item = wandb.push("a", sweep_id="s1", overrides=overrides)
    wait_until(lambda: wandb.state(item) == "FAILED", 15.0, "the item is over")
    assert ran(testbed) == (["s1"] if runs else [])
    ((message, stage),) = wandb.items[item].failures
    assert (stage, "The sweep s1 is finished" in message) == (("run", False) if runs else ("agent", True))
