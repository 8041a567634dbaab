"""W&B's own agent, ``wandb launch-agent``, serves launchd's queues: alone, and beside launchd's agent."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.compat.commands import AGENT_BESIDE, AGENT_FAILURE, AGENT_JOB, AGENT_STOP, command
from tests.compat.runs import run_of
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api, fresh_name
from tests.support.testbed import OVER, Testbed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(180)

#: Both agents take one job of it at a time.
SHARED = "shared"
#: W&B's agent looks for work, and at what it runs, every 10 s.
PATIENCE = 75.0


class TheirAgent:
    """A running ``wandb launch-agent``."""

    def __init__(self, wandb_env: WandbEnv, *queues: str) -> None:
        self.log = wandb_env.work / f"{fresh_name('agent')}.log"
        options = [word for queue in queues for word in ("-q", queue)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [wandb_env.client.command, "launch-agent", "-e", "me", "-j", "2", *options],
                cwd=wandb_env.work,
                env=wandb_env.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> None:
        """Kill it with all that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def their_agent(wandb_env: WandbEnv, *queues: str) -> Iterator[TheirAgent]:
    agent = TheirAgent(wandb_env, *queues)
    try:
        yield agent
    finally:
        agent.end()


@pytest.fixture
def queue(api: Api) -> str:
    name = fresh_name("theirs")
    api.create_queue(name)
    return name


def push(api: Api, queue: str, job: str, **overrides: Any) -> str:
    return api.push(queue, {"entity": "me", "project": "theirs", "job": job, "overrides": overrides})


def over(api: Api, item: str, agent: TheirAgent) -> dict[str, Any]:
    """Return the item once it is over."""
    try:
        wait_until(lambda: api.state(item) in OVER, PATIENCE, "the end of the item")
    except TimeoutError:
        pytest.fail(f"{api.item(item)}\n{agent.log.read_text()[-4000:]}")
    found = api.item(item)
    assert found is not None
    return found


@command(AGENT_JOB, AGENT_FAILURE, AGENT_STOP)
def test_their_agent_runs_jobs_reports_failures_and_leaves(wandb_env: WandbEnv, api: Api, queue: str, job: str) -> None:
    good = push(api, queue, job, run_config={"lr": 0.25}, args=["--of", "theirs"])
    # Their agent refuses an image where it is to start a process.
    bad = api.push(queue, {"entity": "me", "project": "theirs", "docker": {"docker_image": "alpine:3"}})

    with their_agent(wandb_env, queue) as agent:
        finished, failed = over(api, good, agent), over(api, bad, agent)
        (known,) = [found for found in _agents(api) if found["queueNames"] == [queue]]
        assert api.mutate("stopLaunchAgent", "success", launchAgentId=known["id"]) == {"success": True}
        assert agent.process.wait(60) == 0, agent.log.read_text()[-3000:]

    assert finished["state"] == "FINISHED"
    run = run_of(api, "theirs", finished["associatedRunId"])
    assert run["state"] == "finished"
    assert '"lr":0.25' in run["history"][0].replace(" ", "")
    assert failed["state"] == "FAILED"
    assert "local-process" in failed["message"]
    _assert_error_file(wandb_env, api, known["name"], bad)
    wait_until(lambda: _status_of(api, known["id"]) == "KILLED", PATIENCE, "the word of the agent that left")


def _status_of(api: Api, agent_id: str) -> str:
    return next(str(found["agentStatus"]) for found in _agents(api) if found["id"] == agent_id)


def _agents(api: Api) -> list[dict[str, Any]]:
    query = 'query { launchAgents(entityName: "me") { id name agentStatus queueNames } }'
    agents: list[dict[str, Any]] = api.run(query)["launchAgents"]
    return agents


def _assert_error_file(wandb_env: WandbEnv, api: Api, agent: str, item: str) -> None:
    query = "query($id: ID!) { launchRunQueueItem(id: $id) { filePaths } }"
    (path,) = api.run(query, {"id": item})["launchRunQueueItem"]["filePaths"]
    assert path == f"{item}/error/error.log"
    files = run_of(api, "model-registry", agent)["files"]["edges"]
    (link,) = [edge["node"]["directUrl"] for edge in files if edge["node"]["name"] == path]
    assert b"Traceback" in wandb_env.download(link)


@command(AGENT_BESIDE)
def test_their_agent_and_ours_serve_one_queue(
    wandb_env: WandbEnv, testbed: Testbed, api: Api, job: str, tmp_path: Path
) -> None:
    api.create_queue(SHARED)
    second = Testbed(tmp_path, testbed.server, max_jobs=1, launchd={})
    second.configure(max_jobs=1, queues=[SHARED])
    try:
        second.start_agent(PATH=f"{wandb_env.client.home / 'bin'}{os.pathsep}{os.environ['PATH']}")
        with their_agent(wandb_env, SHARED) as agent:
            items = [push(api, SHARED, job, run_config={"lr": float(number)}) for number in range(6)]
            found = [over(api, item, agent) for item in items]
    finally:
        second.close()

    assert [item["state"] for item in found] == ["FINISHED"] * 6
    assert len({item["launchAgentId"] for item in found}) == 2
    assert len({item["associatedRunId"] for item in found}) == 6
