"""`launchd.LaunchAgent`: every documented name, over the one supervisor there is."""

import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launchd import Api, LaunchAgent, LaunchError, QueuedRun, create_and_run_agent, launch_add
from tests.support.program import program
from tests.support.server import Api as Wire
from tests.support.server import RunningServer, running_server
from tests.support.waiting import wait_until
from tests.support.wandb_server import wandb_server

END_SECONDS = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_BASE_URL", running.url)
        patch.setenv("WANDB_API_KEY", running.key)
        for queue in ("default", "second"):
            Api().create_run_queue(queue, "local-process")
        yield running


def config(directory: Path, **more: Any) -> dict[str, Any]:
    return {"queues": ["default", "second"], "max_jobs": 4, "launchd": {"state_dir": str(directory)}, **more}


@pytest.fixture
def agent(server: RunningServer, tmp_path: Path) -> Iterator[LaunchAgent]:  # noqa: ARG001 - it must be there
    agent = LaunchAgent(Api(), config(tmp_path))
    yield agent
    agent.close()


@pytest.fixture
def looping(agent: LaunchAgent) -> Iterator[LaunchAgent]:
    """The agent while it takes jobs, as in a program with a thread for it."""
    thread = threading.Thread(target=agent.loop)
    thread.start()
    yield agent
    agent.close()
    thread.join()


def sleeping(queue: str = "default") -> QueuedRun:
    return launch_add(entry_point=["sleep", "600"], queue_name=queue)


def stopped(*queued: QueuedRun) -> None:
    """Stop what the test started."""
    for one in queued:
        one.stop("the test is over")
        one.wait_until_finished(END_SECONDS)


def test_it_is_known_to_the_server(agent: LaunchAgent) -> None:
    (known,) = [one for one in Api().queue_server.agents("me") if one.id == agent.id]

    assert LaunchAgent.initialized()
    assert LaunchAgent.name() == known.name
    assert known.queue_names == ("default", "second")


def test_it_claims_nothing_before_its_loop(agent: LaunchAgent) -> None:
    queued = launch_add(entry_point=["true"])

    assert agent.thread_ids == []
    assert queued.state == "pending"
    queued.delete()


def test_its_loop_takes_jobs(looping: LaunchAgent) -> None:
    queued = launch_add(entry_point=["true"])

    assert queued.wait_until_finished(END_SECONDS).state == "finished"
    assert looping.status()["counters"]["finished"] == 1


def test_what_it_has_is_counted(looping: LaunchAgent, capsys: pytest.CaptureFixture[str]) -> None:
    queued = sleeping()
    queued.wait_until_running(END_SECONDS)

    assert looping.thread_ids == [queued.id]
    assert (looping.num_running_jobs, looping.num_running_schedulers) == (1, 0)
    looping.print_status()
    assert capsys.readouterr().out == (
        f"launch: agent {LaunchAgent.name()} polling on queues default,second, running 1 of at most 4 jobs\n"
    )
    stopped(queued)


def test_a_scheduler_is_counted_apart(looping: LaunchAgent) -> None:
    queued = launch_add(uri="placeholder-uri-scheduler", entry_point=["sleep", "600"])
    queued.wait_until_running(END_SECONDS)

    assert (looping.num_running_jobs, looping.num_running_schedulers) == (0, 1)
    stopped(queued)


def test_an_item_is_popped_and_run(agent: LaunchAgent) -> None:
    queued = sleeping("second")
    assert agent.pop_from_queue("default") is None

    job = agent.pop_from_queue("second")

    assert job is not None
    assert (job["runQueueItemId"], queued.state) == (queued.id, "leased")
    assert job["runSpec"]["overrides"]["entry_point"] == ["sleep", "600"]
    agent.run_job(job, "second", None)
    assert agent.thread_ids == [queued.id]
    assert agent.status()["jobs"][0]["queue"] == "second"
    stopped(queued)


class Saver:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.saved: list[tuple[str, ...]] = []

    def save_contents(self, *given: str) -> None:
        self.saved.append(given)


def test_what_a_failure_leaves_is_given_to_the_file_saver(agent: LaunchAgent) -> None:
    savers = {}
    for code in (3, 0):
        queued = launch_add(entry_point=["sh", "-c", f"echo so far; exit {code}"])
        job = agent.pop_from_queue("default")
        assert job is not None
        savers[code] = Saver()
        agent.run_job(job, "default", savers[code])
        queued.wait_until_finished(END_SECONDS)

    wait_until(lambda: savers[3].saved, END_SECONDS, "the failure was saved")
    ((text, name, kind),) = savers[3].saved
    assert (name, kind) == ("error.log", "error")
    assert "exit code 3" in text
    assert "so far" in text
    assert savers[0].saved == []


def test_queues_take_turns(agent: LaunchAgent) -> None:
    waiting = [launch_add(entry_point=["true"], queue_name=queue) for queue in ("default", "default", "second")]

    popped = [agent.get_job_and_queue() for _ in range(4)]

    assert [one and one.queue for one in popped] == ["default", "second", "default", None]
    for queued in waiting:
        queued.delete()


def test_an_unknown_queue_cannot_be_popped(agent: LaunchAgent) -> None:
    with pytest.raises(LaunchError, match="defaul"):
        agent.pop_from_queue("defaul")


def test_a_task_ends_with_its_job(agent: LaunchAgent, tmp_path: Path) -> None:
    launch_add(entry_point=["false"])
    job = agent.pop_from_queue("default")
    assert job is not None
    tracker = SimpleNamespace(queue="second", run_queue_item_id=None, completed_status=None)
    other = {"overrides": {"entry_point": ["sh", "-c", "echo $WANDB_LAUNCH_QUEUE_NAME"]}}

    ended = agent.task_run_job({**job["runSpec"], **other}, job, config(tmp_path), Api(), tracker)

    assert ended == tracker.completed_status == "finished"
    assert tracker.run_queue_item_id == job["runQueueItemId"]
    (about,) = agent.status()["recent"]
    assert Path(about["log_path"]).read_text() == "second\n"


def test_a_task_of_another_configuration_is_refused(agent: LaunchAgent, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="not this agent's configuration"):
        agent.task_run_job({}, {}, config(tmp_path, max_jobs=1))


def test_the_sweep_of_a_run_must_go_on(agent: LaunchAgent) -> None:
    agent.check_sweep_state({"entity": "me", "project": "p"}, Api())

    with pytest.raises(LaunchError, match="The sweep gone is unknown"):
        agent.check_sweep_state({"entity": "me", "project": "p", "sweep_id": "gone"}, Api())
    unreachable = Api(base_url="http://127.0.0.1:9", api_key="k" * 40)
    with pytest.raises(LaunchError, match="cannot be reached"):
        agent.check_sweep_state({"entity": "me", "project": "p", "sweep_id": "gone"}, unreachable)


def test_its_status_is_told(agent: LaunchAgent, server: RunningServer) -> None:
    def is_shown() -> bool:
        # A heartbeat of the agent itself may come in between.
        agent.update_status("KILLED")
        with Wire(server.url, server.key) as wire:
            shown = wire.run("query($id: ID!) { launchAgent(id: $id) { agentStatus } }", {"id": agent.id})
        return bool(shown == {"launchAgent": {"agentStatus": "KILLED"}})

    wait_until(is_shown, END_SECONDS, "the status is shown")
    with pytest.raises(LaunchError, match="Did you mean 'POLLING'"):
        agent.update_status("POLLIN")


def test_an_item_is_failed_and_its_job_ended(looping: LaunchAgent, server: RunningServer) -> None:
    queued = sleeping()
    queued.wait_until_running(END_SECONDS)

    looping.fail_run_queue_item(queued.id, "the data set is gone", "run", ["logs/error.log"])

    item = Api().queue_server.item(queued.id)
    assert item is not None
    assert (item.state, item.message, item.stage) == ("FAILED", "the data set is gone", "run")
    with Wire(server.url, server.key) as wire:
        shown = wire.run("query($id: ID!) { launchRunQueueItem(id: $id) { filePaths } }", {"id": queued.id})
    assert shown == {"launchRunQueueItem": {"filePaths": ["logs/error.log"]}}
    wait_until(lambda: looping.thread_ids == [], END_SECONDS, "its job ended")
    with pytest.raises(LaunchError, match="did not fail item"):
        looping.fail_run_queue_item("nothing", "x", "run")


def test_care_for_a_job_is_ended(looping: LaunchAgent) -> None:
    first, second = sleeping(), sleeping()
    for queued in (first, second):
        queued.wait_until_running(END_SECONDS)

    looping.finish_thread_id(first.id)
    looping.finish_thread_id(second.id, RuntimeError("out of luck"))

    assert first.wait_until_finished(END_SECONDS).state == "killed"
    second.wait_until_finished(END_SECONDS)
    assert (second.state, second.message) == ("failed", "out of luck")
    wait_until(lambda: looping.thread_ids == [], END_SECONDS, "both jobs ended")
    with pytest.raises(LaunchError, match="This agent has no job nothing"):
        looping.finish_thread_id("nothing")


def test_its_process_is_killed_and_its_jobs_go_on(looping: LaunchAgent) -> None:
    queued = sleeping()
    queued.wait_until_running(END_SECONDS)
    killed = looping.status()["agent"]["pid"]
    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: _pid(looping) not in (None, killed), END_SECONDS, "another process took over")

    assert looping.thread_ids == [queued.id]
    stopped(queued)


def _pid(agent: LaunchAgent) -> int | None:
    try:
        pid: int = agent.status()["agent"]["pid"]
    except LaunchError:
        return None
    return pid


def test_the_server_can_send_it_away(agent: LaunchAgent, server: RunningServer) -> None:
    with Wire(server.url, server.key) as wire:
        wire.mutate("stopLaunchAgent", "success", launchAgentId=agent.id)

    agent.loop()

    with pytest.raises(LaunchError, match="No agent runs here"):
        _ = agent.thread_ids


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"queues": ["nowhere"]}, "There is no queue nowhere"),
        ({"queuess": ["default"]}, "Did you mean queues"),
        ({"max_jobs": "many"}, "max_jobs"),
    ],
)
def test_what_is_no_configuration_is_refused(wrong: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=sentence):
        LaunchAgent(Api(), config(tmp_path, **wrong))


def test_two_agents_do_not_share_their_state(agent: LaunchAgent, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"Another agent \(process \d+\) uses"):
        LaunchAgent(Api(), config(tmp_path))
    assert agent.thread_ids == []


# -- as a program of its own

PROGRAM = """
from launchd import Api, create_and_run_agent
create_and_run_agent(Api(), {config!r})
print("the agent has left")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.usefixtures("server")
def test_a_program_that_is_an_agent_leaves_its_jobs_to_the_next(number: signal.Signals, tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    queued = sleeping()
    with program(PROGRAM.format(config=config(state_dir)), tmp_path, {}) as running:
        queued.wait_until_running(END_SECONDS)
        running.signal(number)
        running.wait()
        assert ("the agent has left" in running.text()) is (number is signal.SIGINT), running.text()
    wait_until(lambda: not (state_dir / "run" / "control.sock").exists(), END_SECONDS, "the agent left")

    following = LaunchAgent(None, config(state_dir))

    assert following.thread_ids == [queued.id]
    stopped(queued)
    following.close()


#: For each documented method, the arguments that the tests above show to have an effect.
SHOWN = {
    "check_sweep_state": ["launch_spec", "api"],
    "fail_run_queue_item": ["run_queue_item_id", "message", "phase", "files"],
    "finish_thread_id": ["thread_id", "exception"],
    "get_job_and_queue": [],
    "initialized": [],
    "loop": [],
    "name": [],
    "pop_from_queue": ["queue"],
    "print_status": [],
    "run_job": ["job", "queue", "file_saver"],
    "task_run_job": ["launch_spec", "job", "default_config", "api", "job_tracker"],
    "update_status": ["status"],
}


@pytest.mark.parametrize("method", SHOWN)
def test_the_signature_is_the_documented_one(method: str) -> None:
    assert [name for name in inspect.signature(getattr(LaunchAgent, method)).parameters if name != "self"] == SHOWN[
        method
    ]


@pytest.mark.parametrize("function", [LaunchAgent, create_and_run_agent])
def test_it_is_made_as_documented(function: Callable[..., object]) -> None:
    assert list(inspect.signature(function).parameters) == ["api", "config"]


# -- at W&B's server


def test_it_serves_wandbs_server(tmp_path: Path) -> None:
    quick = {"state_dir": str(tmp_path / "state"), "supervision": {"poll_seconds": 0.2}}
    command = {"overrides": {"entry_point": ["true"]}, "run_id": "run1"}
    with wandb_server("default") as theirs:
        agent = LaunchAgent(Api(base_url=theirs.url, api_key=theirs.key), {"queues": ["default"], "launchd": quick})
        handed, claimed = theirs.push("default", **command), theirs.push("default", **command)
        popped = agent.get_job_and_queue()
        assert popped is not None

        agent.run_job(popped.job, popped.queue)
        wait_until(lambda: theirs.items[handed].acks == 1, END_SECONDS, "what was handed over was taken")
        assert theirs.state(claimed) == "PENDING"
        thread = threading.Thread(target=agent.loop)
        thread.start()
        wait_until(lambda: theirs.items[claimed].acks == 1, END_SECONDS, "the other was claimed")
        agent.close()
        thread.join()

    assert theirs.items[handed].acks == 1
