"""Exports of ended runs' histories as Parquet files: what they hold, and that they stay as they are."""

import io
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.runs import ClientRun
from tests.support.server import Api, fresh_name, running_server


@pytest.fixture
def run(api: Api) -> ClientRun:
    return ClientRun(api, fresh_name("exported"))


def end(run: ClientRun) -> None:
    run.stream({"complete": True, "exitcode": 0})


def links_and_live_lines(run: ClientRun) -> tuple[list[str], list[dict[str, Any]]]:
    found = run.ask('parquetHistory(liveKeys: ["_step"]) { parquetUrls liveData }')["parquetHistory"]
    return found["parquetUrls"], found["liveData"]


def rows_of(link: str) -> list[dict[str, Any]]:
    from pyarrow import parquet

    answer = requests.get(link, timeout=20)
    answer.raise_for_status()
    return [_without_nulls(row) for row in parquet.read_table(io.BytesIO(answer.content)).to_pylist()]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def test_an_ended_run_is_exported_whole(run: ClientRun) -> None:
    lines = [
        {"_step": 0, "loss": 1.5, "count": 3, "name": "a", "done": False, "image": {"_type": "file", "sizes": [1, 2]}},
        {"_step": 1, "loss": 2, "late": [0.5], "layers": {"first": {"w": 1}}},
        {"_step": 5, "loss": 3.5, "image": {"_type": "file", "path": "x"}},
    ]
    run.log(lines)
    assert links_and_live_lines(run) == ([], [{"_step": 0}])

    end(run)

    (link,), live = links_and_live_lines(run)
    assert live == []
    assert rows_of(link) == lines
    assert int(requests.head(link, timeout=20).headers["Content-Length"]) > 100
    part = requests.get(link, headers={"Range": "bytes=0-3"}, timeout=20)
    assert (part.status_code, part.content) == (206, b"PAR1")


def test_what_no_column_holds_is_text(run: ClientRun) -> None:
    values = [1, "two", True, {"a": 1}, [1, "x"], None]
    run.log({"_step": step, "mixed": value, "empty": {}, "big": 2**80} for step, value in enumerate(values))
    end(run)

    rows = rows_of(links_and_live_lines(run)[0][0])

    assert [row.get("mixed") for row in rows] == ["1", "two", "true", '{"a":1}', '[1,"x"]', None]
    assert {row["empty"] for row in rows} == {"{}"}
    assert {float(row["big"]) for row in rows} == {2.0**80}


def test_numbers_that_json_lacks_are_numbers(run: ClientRun) -> None:
    run.log([{"_step": 0, "x": 1}, {"_step": 1, "x": "NaN"}, {"_step": 2, "x": "-Infinity"}])
    lines = ['{"_step": 3, "x": Infinity}']
    run.stream({"files": {"wandb-history.jsonl": {"offset": 3, "content": lines}}})
    end(run)

    values = [row["x"] for row in rows_of(links_and_live_lines(run)[0][0])]

    assert (values[0], *values[2:]) == (1, -math.inf, math.inf)
    assert math.isnan(values[1])


def test_an_export_stays_as_it_is_and_the_next_has_the_rest(run: ClientRun) -> None:
    run.log([{"_step": 0, "x": 1}])
    end(run)
    (first,), _ = links_and_live_lines(run)
    before = rows_of(first)

    run.upsert()
    run.log([{"_step": 1, "x": 2}], offset=1)
    assert links_and_live_lines(run)[0] == []
    end(run)

    links, live = links_and_live_lines(run)
    assert ([rows_of(link) for link in links], live) == ([before, [{"_step": 1, "x": 2}]], [])
    assert run.ask("fileCount files(first: 10) { edges { node { name } } }") == {"fileCount": 0, "files": {"edges": []}}


def test_lines_that_are_replaced_are_exported_anew(run: ClientRun) -> None:
    run.log([{"_step": 0, "x": 1}, {"_step": 1, "x": 2}])
    end(run)
    assert len(links_and_live_lines(run)[0]) == 1

    run.upsert()
    run.log([{"_step": 1, "x": 3}], offset=1)
    end(run)

    rows = [row for link in links_and_live_lines(run)[0] for row in rows_of(link)]
    assert rows == [{"_step": 0, "x": 1}, {"_step": 1, "x": 3}]


def test_a_run_without_a_history_has_no_export(run: ClientRun) -> None:
    end(run)

    assert links_and_live_lines(run) == ([], [])


def test_an_export_ends_with_the_right_to_read_the_run(run: ClientRun) -> None:
    run.log([json.loads('{"_step": 0, "x": 1}')])
    end(run)
    (link,), _ = links_and_live_lines(run)

    run.api.mutate("deleteRun", "clientMutationId", id=run.id)

    assert requests.get(link, timeout=20).status_code == 404


def test_without_pyarrow_all_lines_are_live(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['pyarrow'] = None\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    with running_server(tmp_path, environment={"PYTHONPATH": path}) as server, server.api() as api:
        run = ClientRun(api)
        run.log([{"_step": 0, "x": 1}])
        end(run)

        assert links_and_live_lines(run) == ([], [{"_step": 0}])
