"""Forks and rewinds: histories that begin in another run, and those that go back to one of their steps."""

import json
from typing import Any

import pytest

from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, fresh_name

pytestmark = pytest.mark.dialect

_LOOK = """query($p: String!, $r: String!) { project(name: $p, entityName: "me") { run(name: $r) {
    history historyKeys historyLineCount config sampledHistory(specs: ["{\\"keys\\": [\\"_step\\", \\"x\\"]}"]) } } }"""


def look(run: ClientRun) -> dict[str, Any]:
    found: dict[str, Any] = run.api.run(_LOOK, {"p": run.project, "r": run.name})["project"]["run"]
    return found


def history(run: ClientRun) -> list[tuple[int, float]]:
    lines = map(json.loads, look(run)["history"])
    return [(line["_step"], line["x"]) for line in lines]


def log(run: ClientRun, values: list[tuple[int, float]], offset: int = 0) -> None:
    lines = [json.dumps({"_step": step, "x": x}) for step, x in values]
    run.stream({"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}})


def fork(parent: ClientRun, step: object, **config: object) -> ClientRun:
    point = {"run_id": parent.name, "step": step}
    given = {"_wandb": {"value": {"branch_point": point}}, **{key: {"value": value} for key, value in config.items()}}
    return ClientRun(parent.api, fresh_name("fork"), config=json.dumps(given))


@pytest.fixture
def parent(api: Api) -> ClientRun:
    """A run of ten steps."""
    run = ClientRun(api, fresh_name("parent"), config=json.dumps({"lr": {"value": 1}, "a": {"value": "b"}}))
    log(run, [(step, step / 2) for step in range(10)])
    return run


def test_a_fork_begins_with_the_steps_and_the_config_of_its_parent(parent: ClientRun) -> None:
    forked = fork(parent, 5, a="own")

    log(forked, [(6, 100)])
    log(forked, [(7, 200)], offset=1)

    assert history(forked) == [*((step, step / 2) for step in range(6)), (6, 100), (7, 200)]
    seen = look(forked)
    assert seen["historyLineCount"] == 2
    assert seen["historyKeys"]["keys"]["x"]["typeCounts"] == [{"type": "number", "count": 8}]
    config = json.loads(seen["config"])
    assert (config["lr"]["value"], config["a"]["value"]) == (1, "own")
    assert config["_wandb"]["value"]["branch_point"] == {"run_id": parent.name, "step": 5}
    assert len(history(parent)) == 10


def test_what_a_fork_has_logged_is_not_mixed_with_what_its_parent_logs_later(parent: ClientRun) -> None:
    forked = fork(parent, 100)
    log(forked, [(101, 1)])

    log(parent, [(10, 5)], offset=10)
    forked.upsert(config=json.dumps({"_wandb": {"value": {"branch_point": {"run_id": parent.name, "step": 100}}}}))

    assert [step for step, _ in history(forked)] == [*range(10), 101]


def test_a_fork_of_a_fork_has_what_both_had(parent: ClientRun) -> None:
    forked = fork(parent, 3)
    log(forked, [(4, 40), (5, 50)])

    again = fork(forked, 4)

    assert history(again) == [*((step, step / 2) for step in range(4)), (4, 40)]


def test_a_long_history_is_inherited_whole(api: Api) -> None:
    parent = ClientRun(api, fresh_name("parent"))
    log(parent, [(step, step) for step in range(2_500)])

    forked = fork(parent, 2_300)

    keys = look(forked)["historyKeys"]
    assert keys["lastStep"] == 2_300
    assert keys["keys"]["x"]["typeCounts"] == [{"type": "number", "count": 2_301}]


def test_a_fork_of_nothing_is_refused(parent: ClientRun) -> None:
    parent.name = "missing"

    with pytest.raises(RefusedByServer, match="cannot be forked from 'missing': its project has no such run"):
        fork(parent, 1)
    with pytest.raises(RefusedByServer, match="branch point in the run's config is wrong"):
        fork(parent, "some")


def rewind(run: ClientRun, step: float, metric: str = "_step") -> dict[str, Any]:
    names = {"runName": run.name, "projectName": run.project}
    answer = run.api.mutate(
        "rewindRun", "rewoundRun { name historyLineCount config }", metricName=metric, metricValue=step, **names
    )
    found: dict[str, Any] = answer["rewoundRun"]
    return found


def test_a_run_is_taken_back_to_a_step_and_goes_on(parent: ClientRun) -> None:
    back = rewind(parent, 3)

    assert (back["name"], back["historyLineCount"]) == (parent.name, 4)
    log(parent, [(4, 400)], offset=4)
    assert history(parent) == [*((step, step / 2) for step in range(4)), (4, 400)]
    keys = look(parent)["historyKeys"]
    assert keys["lastStep"] == 4
    assert keys["keys"]["x"]["typeCounts"] == [{"type": "number", "count": 5}]


def test_a_rewind_behind_the_end_changes_nothing(parent: ClientRun) -> None:
    assert rewind(parent, 1e300)["historyLineCount"] == 10
    assert len(history(parent)) == 10


def test_a_rewind_may_go_back_into_what_was_inherited(parent: ClientRun) -> None:
    forked = fork(parent, 5)
    log(forked, [(6, 60)])

    assert rewind(forked, 2)["historyLineCount"] == 0
    log(forked, [(3, 30)])

    assert history(forked) == [(0, 0), (1, 0.5), (2, 1), (3, 30)]


def test_a_run_is_taken_back_by_its_steps_alone(parent: ClientRun) -> None:
    with pytest.raises(RefusedByServer, match="metricName must be '_step'"):
        rewind(parent, 3, metric="loss")
