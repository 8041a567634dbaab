"""Runs by GraphQL: created, changed, resumed, stopped, and how they end with or without their items."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name, running_server
from tests.support.waiting import wait_until


def test_a_run_makes_its_project_and_learns_the_canonical_names(api: Api) -> None:
    project = fresh_name("Made")
    ClientRun(api, project=project)
    run = ClientRun(api, project=project.lower())
    answer = run.upsert()
    assert answer["bucket"]["project"] == {"name": project, "entity": {"name": "me"}}
    assert answer["inserted"] is False
    assert answer["bucket"]["displayName"]


def test_a_run_without_a_name_gets_one(api: Api) -> None:
    made = api.mutate("upsertBucket", "bucket { name project { name } } inserted", state="running")
    assert made["inserted"] is True
    assert len(made["bucket"]["name"]) == 8
    assert made["bucket"]["project"] == {"name": "uncategorized"}


def test_null_leaves_a_column_as_it_is(api: Api) -> None:
    run = ClientRun(api, displayName="shown", jobType="train", groupName="g", tags=["a"], notes="n", commit="abc")
    run.upsert(displayName=None, jobType=None, groupName=None, tags=None, notes=None, commit=None, config=None)
    asked = run.ask("displayName jobType group tags notes commit")
    assert asked == {
        "displayName": "shown",
        "jobType": "train",
        "group": "g",
        "tags": ["a"],
        "notes": "n",
        "commit": "abc",
    }


def test_the_client_merges_its_config_and_an_editor_replaces_it(api: Api) -> None:
    run = ClientRun(api, config='{"lr": {"value": 0.1}, "old": {"value": NaN}}')
    run.upsert(config='{"lr": {"value": 0.2}}')
    assert json.loads(run.ask("config")["config"]).keys() == {"lr", "old"}
    api.mutate("upsertBucket", "bucket { id }", id=run.id, config='{"new": {"value": 1}}', tags=["t"])
    asked = run.ask("config tags state")
    assert (json.loads(asked["config"]), asked["tags"], asked["state"]) == ({"new": {"value": 1}}, ["t"], "running")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"config": "{"}, "config is not JSON"),
        ({"config": "[]"}, "must be a JSON object"),
        ({"state": "asleep"}, "'asleep' is no state of a run"),
        ({"name": "a/b"}, "is no name for a run"),
        ({"id": "UnVuOnYxOm5vOnByb2o6bWU="}, "has no run 'no'"),
    ],
)
def test_what_cannot_be_is_refused(api: Api, values: dict[str, Any], complaint: str) -> None:
    ClientRun(api)
    with pytest.raises(RefusedByServer, match=complaint):
        api.mutate("upsertBucket", "inserted", **{"modelName": "proj", "entityName": "me", "name": "new", **values})


RESUME = """query($name: String!) { model(name: "proj", entityName: "me") { bucket(name: $name, missingOk: true) {
    historyLineCount eventsLineCount logLineCount historyTail eventsTail config tags wandbConfig(keys: ["t"]) } } }"""


def test_a_resuming_client_learns_where_to_go_on(api: Api) -> None:
    run = ClientRun(api, config='{"_wandb": {"value": {"t": {"3": [1]}, "m": []}}}', tags=["x"])
    run.log([{"_step": step} for step in range(3)])
    run.stream({"files": {"output.log": {"offset": 0, "content": ["one", "two"]}}})
    bucket = api.run(RESUME, {"name": run.name})["model"]["bucket"]
    assert json.loads(bucket["historyTail"]) == ['{"_step": 2}']
    assert json.loads(bucket["eventsTail"]) == []
    assert json.loads(bucket["wandbConfig"]) == {"t": {"3": [1]}}
    assert (bucket["historyLineCount"], bucket["eventsLineCount"], bucket["logLineCount"]) == (3, 0, 2)
    assert bucket["tags"] == ["x"]


def test_a_run_made_by_an_acknowledgement_is_pending_until_its_client_speaks(
    api: Api, queue_and_agent: QueueAndAgent
) -> None:
    item = api.push(queue_and_agent.queue, {"project": "proj", "name": "from the queue"})
    api.claim(queue_and_agent.agent, fresh_name("claim"))
    api.ack(queue_and_agent.agent, item, run=f"of-{item}")
    assert api.run(RESUME, {"name": f"of-{item}"})["model"]["bucket"] is None
    run = ClientRun(api, name=f"of-{item}")
    assert run.ask("state displayName") == {"state": "running", "displayName": "from the queue"}
    assert run.upsert()["inserted"] is False


def test_an_ended_run_is_started_again_by_its_client(api: Api) -> None:
    run = ClientRun(api)
    api.mutate("stopRun", "success", id=run.id)
    run.stream({"complete": True, "exitcode": 1})
    assert run.ask("state exitcode stopped") == {"state": "killed", "exitcode": 1, "stopped": True}
    run.upsert()
    assert run.ask("state exitcode stopped") == {"state": "running", "exitcode": None, "stopped": False}


def _served_by_wandbs_agent(api: Api, queue_and_agent: QueueAndAgent) -> tuple[str, str]:
    item = api.push(queue_and_agent.queue, {"project": "proj"})
    assert api.pop(queue_and_agent.queue, queue_and_agent.agent) == item
    name = f"of-{item}"
    assert api.mutate("ackRunQueueItem", "success", runQueueItemId=item, runName=name) == {"success": True}
    return item, name


@pytest.mark.parametrize(("exit_code", "state"), [(0, "FINISHED"), (3, "FAILED")])
def test_an_item_of_wandbs_agent_follows_its_run(
    api: Api, queue_and_agent: QueueAndAgent, exit_code: int, state: str
) -> None:
    item, name = _served_by_wandbs_agent(api, queue_and_agent)
    run = ClientRun(api, name=name)
    assert api.state(item) == "CLAIMED"
    run.stream({"complete": True, "exitcode": exit_code})
    found = api.item(item)
    assert found is not None
    assert (found["state"], found["exitCode"]) == (state, exit_code)


def test_an_item_of_launchds_agent_ends_as_its_process(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue, {"project": "proj"})
    api.claim(queue_and_agent.agent, fresh_name("claim"))
    api.ack(queue_and_agent.agent, item, run=f"of-{item}")
    run = ClientRun(api, name=f"of-{item}")
    run.stream({"complete": True, "exitcode": 0})
    assert api.state(item) == "CLAIMED"
    assert api.report(queue_and_agent.agent, item, 1, "running")
    assert run.state == "finished"
    assert api.report(queue_and_agent.agent, item, 2, "failed", exitCode=5)
    assert (api.state(item), run.state) == ("FAILED", "finished")


def test_a_stop_of_the_item_reaches_the_run_by_both_channels(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item, name = _served_by_wandbs_agent(api, queue_and_agent)
    run = ClientRun(api, name=name)
    assert run.stream({})["stopped"] is False
    api.mutate("stopRunQueueItem", "success", runQueueItemId=item, reason="enough")
    assert run.ask("stopped") == {"stopped": True}
    assert run.stream({})["stopped"] is True


@pytest.fixture(scope="module")
def impatient(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:  # noqa: ARG001
    with running_server(tmp_path_factory.mktemp("impatient"), "--run-timeout-seconds", "1") as running:
        yield running


def test_a_run_without_heartbeats_crashes_with_its_item_until_the_next_one(
    impatient: RunningServer,
) -> None:
    with impatient.api() as api:
        queue = fresh_name("queue")
        queue_and_agent = QueueAndAgent(queue, queue_id := api.create_queue(queue), api.create_agent(queue_id))
        item, name = _served_by_wandbs_agent(api, queue_and_agent)
        run = ClientRun(api, name=name)
        wait_until(lambda: run.state == "crashed", what="the crash")
        found = api.item(item)
        assert found is not None
        assert (found["state"], found["message"]) == ("FAILED", "The run sent no heartbeat any more.")
        run.stream({})
        assert run.state == "running"
        run.stream({"complete": True, "exitcode": 0})
        assert run.state == "finished"


def test_runs_get_the_whole_time_again_after_a_start_of_the_server(tmp_path: Path) -> None:
    with running_server(tmp_path, "--run-timeout-seconds", "2") as server, server.api() as api:
        run = ClientRun(api)
        server.restart()
        assert run.state == "running"
        wait_until(lambda: run.state == "crashed", what="the crash")
