"""``wandb.Api()`` on queues, items and jobs."""

from typing import Any

import pytest

from tests.compat.commands import CALL_JOB, CHANGE_QUEUE, CREATE_QUEUE, DELETE_ITEM, DELETE_QUEUE, LAUNCH_ADD, command
from tests.compat.kept import AnswerOf
from tests.compat.runs import run_of
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api
from tests.support.testbed import OVER
from tests.support.waiting import wait_until

CREATED, CHANGED, DELETED = QUEUES = ("created", "changed", "deleted")

_QUEUE = """query($q: String!) { project(name: "model-registry") { runQueue(name: $q) {
    id prioritizationMode resourceType resourceConfig externalLinks } } }"""


@pytest.fixture
def answers(answer_of: AnswerOf) -> dict[str, Any]:
    """What the script `queues` answered."""
    return answer_of("queues", queues=QUEUES)


def queue_of(api: Api, name: str) -> dict[str, Any] | None:
    queue: dict[str, Any] | None = api.run(_QUEUE, {"q": name})["project"]["runQueue"]
    return queue


def config_of(**arguments: str) -> dict[str, Any]:
    return {"resource_args": {"local-container": arguments}}


@command(CREATE_QUEUE)
def test_a_queue_is_created_as_it_was_asked_for(answers: dict[str, Any], api: Api) -> None:
    created = answers["created"]
    assert (created["access"], created["mode"], created["type"]) == ("PROJECT", "V0", "local-container")
    assert created["config"] == config_of(memory="{{mem}}")
    assert [variable["name"] for variable in created["variables"]] == ["mem"]

    queue = queue_of(api, CREATED)
    assert queue is not None
    assert (queue["id"], queue["prioritizationMode"], queue["resourceType"]) == (created["id"], "V0", "local-container")
    assert queue["resourceConfig"] == config_of(memory="{{mem}}")


@command(CHANGE_QUEUE)
def test_a_queue_is_changed(answers: dict[str, Any], api: Api) -> None:
    assert answers["changed"]["config"] == config_of(memory="{{mem}}", network="none")
    assert answers["changed"]["links"] == {"links": [{"label": "Dashboard", "url": "https://example.com/board"}]}

    queue = queue_of(api, CHANGED)
    assert queue is not None
    assert queue["resourceConfig"] == config_of(memory="{{mem}}", network="none")
    assert queue["externalLinks"] == answers["changed"]["links"]


@command(LAUNCH_ADD)
def test_an_item_is_as_it_was_pushed(answers: dict[str, Any], api: Api) -> None:
    item = api.item(answers["kept"]["id"])

    assert item is not None
    assert (item["state"], item["priority"], item["runSpec"]["name"]) == ("PENDING", 0, "third")
    assert answers["kept"]["state"] == "pending"
    assert item["runSpec"]["resource_args"] == {"local-container": {"memory": "8g", "network": "none"}}
    assert item["runSpec"]["overrides"]["run_config"] == {"lr": 3}


@command(DELETE_ITEM)
def test_an_item_is_deleted(answers: dict[str, Any], api: Api) -> None:
    assert answers["listed"] == sorted([answers["kept"]["id"], answers["unwanted"]])
    assert answers["left"] == [answers["kept"]["id"]]
    assert api.item(answers["unwanted"]) is None


@command(DELETE_QUEUE)
@pytest.mark.usefixtures("answers")
def test_a_queue_is_deleted(api: Api) -> None:
    assert queue_of(api, DELETED) is None


@command(CALL_JOB)
def test_a_job_is_called_and_waited_for(job: str, wandb_env: WandbEnv, api: Api) -> None:
    answer = wandb_env.script("call", job=job, project="called")

    assert (answer["job"], answer["state"], answer["lr"]) == (job, "finished", 1.0)
    assert any({"alias": "latest"} in aliases for aliases in answer["jobs"])
    # The run has ended for the client; the agent says a moment later that the job's process has, too.
    wait_until(lambda: api.state(answer["item"]) in OVER, 20, "the end of the item")
    item = api.item(answer["item"])
    assert item is not None
    assert (item["state"], item["associatedRunId"]) == ("FINISHED", answer["run"])
    assert run_of(api, "called", answer["run"])["state"] == "finished"
