"""Rules of how long ended runs are kept, on a server that has some: what they let go, and what they never do."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.artifacts import Logging, collect, content, files_of
from tests.support.runs import ClientRun
from tests.support.server import Api, RunningServer, fresh_name, running_server
from tests.support.sweeps import ClientSweep

RULES = ("me/one=1", "me/sized=1500B", "me/bare=files:0d", "me/proj=0d", "me/proj1=0d", "0d", "me/kept=30d")


@pytest.fixture(scope="module")
def ruled(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:  # noqa: ARG001
    options = [word for rule in RULES for word in ("--keep-runs", rule)]
    with running_server(tmp_path_factory.mktemp("ruled"), *options, "--gc-pause-seconds", "0") as server:
        yield server


@pytest.fixture
def api(ruled: RunningServer) -> Iterator[Api]:
    with ruled.api() as client:
        yield client


def ended(api: Api, project: str, size: int = 0) -> ClientRun:
    run = ClientRun(api, fresh_name("run"), project)
    if size:
        run.upload("file", content(size))
    run.log([{"_step": 0, "loss": 1.0}])
    run.stream({"complete": True, "exitcode": 0})
    return run


def goes(api: Api, *, remove: bool = False) -> dict[str, dict[str, Any]]:
    """What the rules let go, by the names of runs."""
    selection = "runs { entityProject name endedAt bytes reason filesOnly } count bytes"
    answer = api.mutate("applyRetention", selection, remove=remove)
    assert answer["count"] == len(answer["runs"])
    return {run["name"]: run for run in answer["runs"]}


def runs_of(api: Api, project: str) -> set[str]:
    query = "query($p: String!) { project(name: $p) { runs { edges { node { name } } } } }"
    return {edge["node"]["name"] for edge in api.run(query, {"p": project})["project"]["runs"]["edges"]}


def test_the_newest_runs_are_kept_and_a_dry_run_changes_nothing(api: Api) -> None:
    oldest, older, newest = (ended(api, "one") for _ in range(3))
    living = ClientRun(api, fresh_name("run"), "one")

    shown = goes(api)

    assert {oldest.name, older.name} == {name for name, run in shown.items() if run["entityProject"] == "me/one"}
    assert shown[oldest.name]["reason"] == "1 ended runs are kept"
    assert runs_of(api, "one") == {oldest.name, older.name, newest.name, living.name}
    assert goes(api, remove=True).keys() == shown.keys()
    assert runs_of(api, "one") == {newest.name, living.name}
    assert goes(api) == {}


def test_runs_of_which_there_is_too_much_go_with_their_files(api: Api, ruled: RunningServer) -> None:
    before = len(files_of(ruled))
    large, small = ended(api, "sized", 1000), ended(api, "sized", 1000)

    # By request, as the server does itself every hour.
    collect(api)

    assert (runs_of(api, "sized"), len(files_of(ruled))) == ({small.name}, before + 1)
    assert large.name not in goes(api)


def test_the_files_alone_may_go(api: Api, ruled: RunningServer) -> None:
    before = len(files_of(ruled))
    run = ended(api, "bare", 1000)

    assert goes(api)[run.name] | {"endedAt": ""} == {
        "entityProject": "me/bare",
        "name": run.name,
        "endedAt": "",
        "bytes": 1000,
        "reason": "its files are kept for 0 days",
        "filesOnly": True,
    }
    collect(api)

    assert run.ask("fileCount historyLineCount") == {"fileCount": 0, "historyLineCount": 1}
    assert len(files_of(ruled)) == before


def test_what_something_needs_is_kept(api: Api) -> None:
    """Rules keep nothing of these projects."""
    young = ended(api, "kept")
    resumed, named, tagged, used, swept = (ended(api, "proj1") for _ in range(5))
    queue = fresh_name("queue")
    agent = api.create_agent(api.create_queue(queue))
    running = api.push(queue, {"project": "proj", "resource": "local-process"})
    assert api.pop(queue, agent) == running
    api.ack(agent, running, run=(of_item := fresh_name("run")))
    # Its client has ended, its process has not.
    ClientRun(api, of_item, "proj").stream({"complete": True, "exitcode": 0})
    api.push(queue, {"run_id": resumed.name, "resource": "local-process"})
    Logging(api, {"a": content()}, runName=tagged.name).log()
    version = Logging(api, {"a": content()}, runName=used.name, aliases=[]).log()
    user = ClientRun(api, fresh_name("run"), "proj1")
    names = {"entityName": "me", "projectName": "proj1", "runName": user.name}
    api.mutate("useArtifact", "artifact { id }", artifactID=version.id, **names)
    sweep = ClientSweep(api)
    swept, _ = sweep.start(sweep.agent())
    swept.stream({"complete": True, "exitcode": 0})

    gone = goes(api, remove=True)

    assert {named.name} <= gone.keys()
    assert gone.keys().isdisjoint(run.name for run in (young, resumed, tagged, used, swept, user))
    assert of_item not in gone
    user.stream({"complete": True, "exitcode": 0})
    sweep.set("CANCELED")
    api.report(agent, running, 1, "finished")
    assert {used.name, user.name, swept.name, of_item} <= goes(api, remove=True).keys()
    assert tagged.state == "finished"
