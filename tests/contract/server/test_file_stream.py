"""The file stream: what it stores, what it refuses, and reading it back sampled."""

import json
from pathlib import Path

import pytest
import requests

from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, running_server

pytestmark = pytest.mark.dialect


def test_history_summary_and_metrics_are_kept(api: Api) -> None:
    run = ClientRun(api)
    run.log({"_step": step, "loss": 1 / (step + 1), "layer": {"w": step}} for step in range(4))
    events = ['{"_wandb":true,"_timestamp":1.5,"system.cpu":3.5}']
    summary = ['{"loss":0.25,"bad":NaN}']
    files = {"wandb-events.jsonl": {"offset": 0, "content": events}, "wandb-summary.json": {"content": summary}}
    run.stream({"files": files})
    asked = run.ask("summaryMetrics systemMetrics historyLineCount eventsLineCount historyKeys events history")
    assert asked["summaryMetrics"] == summary[0]
    assert json.loads(asked["systemMetrics"]) == {"system.cpu": 3.5}
    assert (asked["historyLineCount"], asked["eventsLineCount"]) == (4, 1)
    assert asked["historyKeys"]["lastStep"] == 3
    assert asked["historyKeys"]["keys"].keys() == {"_step", "loss", "layer.w"}
    assert [json.loads(line)["_step"] for line in asked["history"]] == [0, 1, 2, 3]
    assert asked["events"] == events


def test_lines_sent_again_replace_what_stood_there(api: Api) -> None:
    run = ClientRun(api)
    run.log({"_step": step, "x": 1} for step in range(3))
    run.log([{"_step": 2, "x": 2}, {"_step": 3, "x": 3}], offset=2)
    asked = run.ask("historyLineCount history historyKeys")
    assert asked["historyLineCount"] == 4
    assert [json.loads(line)["x"] for line in asked["history"]] == [1, 1, 2, 3]
    assert asked["historyKeys"]["keys"]["x"]["typeCounts"] == [{"type": "number", "count": 4}]


def test_a_console_line_can_be_rewritten(api: Api) -> None:
    run = ClientRun(api)
    run.stream({"files": {"output.log": {"offset": 0, "content": ["start", "10 %", "end"]}}})
    run.stream({"files": {"output.log": {"offset": 1, "content": ["99 %\0"]}}})
    lines = run.ask("logLineCount logLines(last: 2) { edges { node { number line } } }")
    assert lines["logLineCount"] == 3
    assert [edge["node"] for edge in lines["logLines"]["edges"]] == [
        {"number": 1, "line": "99 %\N{REPLACEMENT CHARACTER}"},
        {"number": 2, "line": "end"},
    ]


def test_a_sample_is_even_and_has_only_lines_with_all_keys(api: Api) -> None:
    run = ClientRun(api)
    run.log({"_step": 10 * step, "loss": step, **({"rare": step} if step % 10 == 0 else {})} for step in range(1000))
    query = 'a: sampledHistory(specs: ["{\\"keys\\": [\\"_step\\", \\"loss\\"], \\"samples\\": 5}"])'
    query += ' b: sampledHistory(specs: ["{\\"keys\\": [\\"rare\\"], \\"samples\\": 3}", "{\\"keys\\": [\\"no\\"]}"])'
    query += ' c: sampledHistory(specs: ["{\\"keys\\": [\\"loss\\"], \\"minStep\\": 50, \\"maxStep\\": 80}"])'
    asked = run.ask(query + " d: history(minStep: 9970, maxStep: 99999, samples: 2) e: history(samples: 7)")
    assert asked["a"] == [[{"_step": 10 * step, "loss": step} for step in (0, 249, 499, 749, 999)]]
    assert asked["b"] == [[{"rare": 0}, {"rare": 480}, {"rare": 990}], []]
    assert asked["c"] == [[{"loss": 5}, {"loss": 6}, {"loss": 7}]]
    assert [json.loads(line)["loss"] for line in asked["d"]] == [997, 999]
    assert len(asked["e"]) == 7


def test_numbers_that_json_does_not_have_come_back_as_strings(api: Api) -> None:
    run = ClientRun(api)
    run.stream({"files": {"wandb-history.jsonl": {"content": ['{"_step":0,"x":NaN,"y":-Infinity}']}}})
    asked = run.ask('sampledHistory(specs: ["{\\"keys\\": [\\"x\\", \\"y\\"]}"])')
    assert asked["sampledHistory"] == [[{"x": "NaN", "y": "-Infinity"}]]


def test_a_preempted_run_says_so_when_it_dies(api: Api) -> None:
    run = ClientRun(api)
    run.stream({"preempting": True})
    assert run.state == "preempting"
    run.stream({"complete": True, "exitcode": 137})
    assert run.ask("state exitcode") == {"state": "preempted", "exitcode": 137}


def test_an_end_is_not_overwritten(api: Api) -> None:
    run = ClientRun(api)
    run.stream({"complete": True, "exitcode": 0})
    run.stream({"complete": True, "exitcode": 1})
    assert run.ask("state exitcode") == {"state": "finished", "exitcode": 0}


def test_numbers_beyond_all_measure_are_answered(api: Api) -> None:
    run = ClientRun(api)
    run.log([{"_step": 0, "x": 1}, {"_step": 10**30, "x": 2}, {"_step": 0.5, "x": 3}, {"x": 4}])
    run.stream({"complete": True, "exitcode": 2**70})
    spec = json.dumps(json.dumps({"keys": ["x"], "minStep": -(10**18), "maxStep": 2**62, "samples": 2**40}))
    console = "logLines(last: 2147483647) { edges { cursor } }"
    asked = run.ask(f"a: sampledHistory(specs: [{spec}]) b: history(maxStep: {10**40}) exitcode {console}")
    assert (asked["a"], asked["exitcode"]) == ([[{"x": 1}]], 2**31 - 1)
    assert len(asked["b"]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"{}", 200),
        (b'{"files": {"unknown.txt": {"content": ["x"]}}, "uploaded": ["a"], "new": 1}', 200),
        (b"[", 400),
        (b"[]", 400),
        (b'{"files": {"output.log": {"offset": -1, "content": ["x"]}}}', 400),
        (b'{"files": {"output.log": {"offset": 2147483647, "content": ["x"]}}}', 400),
        (b'{"files": {"output.log": {"content": [1]}}}', 400),
        (b'{"files": {"output.log": {"content": ["' + b"x" * (10 * 1024 * 1024 + 1) + b'"]}}}', 400),
        (b" " * (33 * 1024 * 1024), 400),
    ],
)
def test_bodies(api: Api, body: bytes, status: int) -> None:
    response = ClientRun(api).post(body)
    assert response.status_code == status
    assert isinstance(response.json(), dict)
    assert ("errors" in response.json()) == (status != 200)


def test_a_run_that_does_not_exist_is_404_and_a_wrong_key_401(api: Api) -> None:
    run = ClientRun(api)
    run.name = "never-made"
    with pytest.raises(RefusedByServer, match="404: Project 'proj' of 'me' has no run 'never-made'"):
        run.stream({})
    response = requests.post(f"{api.url}/files/me/proj/x/file_stream", "{}", auth=("api", "wrong"), timeout=20)
    assert response.status_code == 401


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, server.api() as api:
        run = ClientRun(api)
        run.log({"_step": step} for step in range(100))
        run.stream({"files": {"output.log": {"content": ["a", "b"]}}})
        server.restart()
        assert run.ask("historyLineCount logLineCount state") == {
            "historyLineCount": 100,
            "logLineCount": 2,
            "state": "running",
        }
