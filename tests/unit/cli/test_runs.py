"""`launchd runs` and `launchd run show` at a queue server, and their curves."""

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime

import click
import pytest
import requests

from launchd.cli.curve import HEIGHT, curve_lines, numbers_of
from launchd.cli.run_view import metric_lines, value_at
from launchd.cli.terminal import rendered
from tests.support.runs import ClientRun
from tests.support.server import Api, RunningServer, fresh_name
from tests.unit.cli.conftest import Launchd


@pytest.fixture
def api(server: RunningServer) -> Iterator[Api]:
    with server.api() as opened:
        yield opened


@pytest.fixture
def trained(api: Api) -> ClientRun:
    """A run with a config, a history and a summary."""
    run = ClientRun(
        api,
        project=fresh_name("proj"),
        displayName="night train",
        host="node7",
        tags=["a", "b"],
        config=json.dumps({"lr": {"value": 0.1}, "api_key": {"value": "geheim"}, "net": {"value": {"layers": [1, 2]}}}),
    )
    run.log({"_step": step, "loss": 1 / (step + 1), "acc": step} for step in range(100))
    run.stream(
        {
            "files": {
                "wandb-summary.json": {
                    "offset": 0,
                    "content": ['{"loss": 0.01, "val": {"acc": 0.5}, "bad": NaN, "text": "x y"}'],
                }
            },
            "complete": True,
            "exitcode": 0,
        }
    )
    return run


def test_the_runs_of_a_project_are_listed_with_chosen_metrics(at_server: Launchd, trained: ClientRun) -> None:
    other = ClientRun(trained.api, project=trained.project)

    answer = at_server("runs", "-p", trained.project, "-m", "loss", "-m", "val.acc", "-m", "bad")

    assert answer.exit_code == 0, answer.output
    headers, first, second = answer.stdout.splitlines()
    assert re.sub(" {2,}", "  ", headers).split("  ")[:4] == ["RUN", "STATE", "AUTHOR", "HOST"]
    assert re.search(r"CREATED \w+ +RAN +loss +val\.acc +bad +NAME", headers)
    assert first.split()[:3] == [other.name, "running", "me"]
    assert re.search(rf"{trained.name} +finished +me +node7 .* 0\.01 +0\.5 +nan +night train$", second)


def test_the_runs_of_all_projects_are_listed_and_cut_with_a_sentence(at_server: Launchd, trained: ClientRun) -> None:
    other = ClientRun(trained.api, project=fresh_name("proj"))

    answer = at_server("runs", "--limit", "2")

    _, *rows = answer.stdout.splitlines()
    assert [row.split()[:2] for row in rows] == [[other.project, other.name], [trained.project, trained.name]]
    assert "The 2 newest are shown; --limit 20 shows more." in answer.stderr
    ended = at_server("runs", "-p", trained.project, "--state", "failed")
    assert ended.stdout == f"There are no such runs in project '{trained.project}' of 'me'.\n"


def test_runs_are_printed_as_json_with_times_and_zone(at_server: Launchd, trained: ClientRun) -> None:
    (found,) = json.loads(at_server("runs", "-p", trained.project, "-m", "bad", "--json").stdout)

    assert (found["id"], found["state"], found["author"], found["host"]) == (trained.name, "finished", "me", "node7")
    assert found["summary"] == {"bad": "nan"}
    assert datetime.fromisoformat(found["created_at"]).tzinfo is not None


def test_what_does_not_exist_is_named(at_server: Launchd, trained: ClientRun) -> None:
    assert "There is no project 'nowhere' of 'me'." in at_server("runs", "-p", "nowhere").stderr
    assert "There is no entity 'who'" in at_server("runs", "-e", "who").stderr
    shown = at_server("run", "show", "nobody")
    assert "There is no run 'nobody' of 'me' at http" in shown.stderr
    assert f"There is no run 'x' in project '{trained.project}' of 'me'" in (
        at_server("run", "show", f"{trained.project}/x").stderr
    )
    assert "is no run: name it by its id" in at_server("run", "show", "a/b/c/d").stderr


def test_a_run_is_shown_with_its_curve(at_server: Launchd, server: RunningServer, trained: ClientRun) -> None:
    answer = at_server("run", "show", trained.name, "-m", "loss")

    assert answer.exit_code == 0, answer.output
    shown = re.sub(" {2,}", "  ", answer.stdout)
    assert shown.startswith(f"Run {trained.name}  finished\n")
    page = f"{server.url}/me/{trained.project}/runs/{trained.name}"
    for line in (
        "name  night train",
        f"project  me/{trained.project}",
        "author  me",
        "host  node7",
        "exit  0",
        "tags  a, b",
        f"page  {page}",
        f"history  100 lines of acc, loss; a curve: launchd run show me/{trained.project}/{trained.name} --metric acc",
        "  api_key  ***",
        "  lr  0.1",
        '  net  {"layers": [1, 2]}',
        "  loss  0.01",
        "  text  x y",
        "loss  by step: least 0.01, most 1, last 0.01",
    ):
        assert line in shown, shown
    assert "geheim" not in answer.output
    assert "|*" in answer.stdout


@pytest.mark.parametrize("form", ["{project}/{id}", "me/{project}/{id}", "/me/{project}/runs/{id}"])
def test_a_run_is_named_by_its_path(at_server: Launchd, trained: ClientRun, form: str) -> None:
    answer = at_server("run", "show", form.format(project=trained.project, id=trained.name), "--json")

    assert json.loads(answer.stdout)["id"] == trained.name


def test_a_run_is_named_by_its_name_and_an_id_of_two_projects_is_told(at_server: Launchd, trained: ClientRun) -> None:
    by_name = at_server("run", "show", "night train", "-p", trained.project, "--json")
    assert json.loads(by_name.stdout)["id"] == trained.name
    other = ClientRun(trained.api, trained.name, project=fresh_name("proj"))

    answer = at_server("run", "show", trained.name)

    assert f"There are several runs '{trained.name}': " in answer.stderr
    assert f"me/{other.project}/{other.name}" in answer.stderr


def test_a_run_is_printed_as_json(at_server: Launchd, trained: ClientRun) -> None:
    answer = at_server("run", "show", f"{trained.project}/{trained.name}", "--json", "-m", "acc", "-m", "none")

    found = json.loads(answer.stdout)
    assert found["config"] == {"lr": 0.1, "api_key": "***", "net": {"layers": [1, 2]}}
    assert found["summary"]["bad"] == "nan"
    assert found["history"]["acc"][:2] == [{"step": 0, "value": 0}, {"step": 1, "value": 1}]
    assert found["history"]["none"] == []
    assert datetime.fromisoformat(found["heard_at"]).tzinfo is not None


def test_the_page_of_a_run_is_named_and_there(at_server: Launchd, trained: ClientRun) -> None:
    shown = at_server("run", "show", f"me/{trained.project}/{trained.name}", "--json")

    answer = requests.get(json.loads(shown.stdout)["page"], timeout=20)
    assert answer.headers["Content-Type"].startswith("text/html")


# -- curves


def drawn(points: list[tuple[float, float]], width: int = 30) -> list[str]:
    return [click.unstyle(rendered(line)) for line in curve_lines(points, width)]


def test_a_line_goes_from_corner_to_corner() -> None:
    lines = drawn([(step, step) for step in range(10)], width=13)

    assert lines[0] == "9 |         *"
    assert lines[HEIGHT - 1] == "0 |*"
    assert lines[HEIGHT] == "  +----------"
    assert lines[HEIGHT + 1] == "   0        9"


@pytest.mark.parametrize("width", [1, 30, 80, 100_000])
@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 1.0)],
        [(0.0, 1.0), (5.0, 1.0)],
        [(0.0, -1.7e308), (1.0, 1.7e308)],
        [(0.0, 5e-324), (1.0, 0.0)],
        [(-3.0, 1e9), (1e18, 2e9)],
        [(-1e308, 1.7e308), (-1e308, 1.7e308), (1e308, 0.0)],
    ],
)
def test_any_points_are_drawn_within_the_width(points: list[tuple[float, float]], width: int) -> None:
    lines = drawn(points, width)

    assert any("*" in line for line in lines)
    assert max(map(len, lines[:-1])) <= max(width, 22)


def test_what_is_no_number_is_left_out_and_told() -> None:
    lines = [(0, 1.0), (1, "NaN"), (2, math.nan), (3, None), (4, True), (5, 2)]

    assert numbers_of(lines) == [(0.0, 1.0), (5.0, 2.0)]
    assert metric_lines("m", lines, 80)[-1] == "4 of the values read are no numbers, and not shown."
    assert metric_lines("m", [(0, "x")], 80) == ["", "The history has no number under 'm'."]


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_curve_without_colours_is_plain(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    lines = curve_lines([(0, 0), (1, 1)], 30)
    assert "\x1b[" in rendered(lines[0])

    monkeypatch.setenv(variable, value)

    assert "\x1b" not in "".join(map(rendered, lines))


def test_a_value_is_found_by_its_path() -> None:
    assert value_at({"a": {"b": 1}, "a.c": 2}, "a.b") == 1
    assert value_at({"a": {"b": 1}, "a.c": 2}, "a.c") == 2
    assert value_at({"a": 1}, "a.b") is None
