"""One member who reads, or writes, as much as they can: nobody else waits for it, and no answer fills the memory."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.support.accounts import Accounts
from tests.support.acting import acting
from tests.support.artifacts import Logging, content, delete, md5_of
from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name, running_server
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.dialect, pytest.mark.timeout(300)]

READERS = 5
RUNS = 200
PATIENCE = 150.0
SLOW = [{f"config.key{number % 60}": {"$ne": f"other {number}"}} for number in range(450)]
RUNS_OF_PROJECT = """query($p: String, $f: JSONString, $n: Int) { project(name: $p, entityName: "me") {
    runs(filters: $f, first: $n) { edges { node { name config } } } } }"""


def claim_time(api: Api, agent: str, queue: str) -> float:
    """Seconds until a pushed item is claimed, by a client whose key the server has to look up."""
    api.push(queue)
    began_at = time.monotonic()
    assert len(api.claim(agent, fresh_name("claim"))) == 1
    return time.monotonic() - began_at


@pytest.fixture(scope="module")
def project(server: RunningServer) -> str:
    """A project of many runs with much to filter."""
    project = fresh_name("many")
    config = json.dumps({f"key{number}": {"value": f"value {number}" * 20} for number in range(60)})
    with server.api() as api:
        for _ in range(RUNS):
            api.mutate("upsertBucket", "inserted", name=fresh_name("r"), modelName=project, config=config)
    return project


def test_nobody_waits_for_the_heavy_reads_of_others(
    accounts: Accounts, server: RunningServer, api: Api, project: str
) -> None:
    queue = fresh_name("queue")
    agent = api.create_agent(api.create_queue(queue))
    key = api.mutate("generateApiKey", "key")["key"]
    reading: list[float] = []

    def read() -> None:
        with server.api() as reader:
            began_at = time.monotonic()
            values = {"p": project, "f": json.dumps({"$and": SLOW}), "n": 1000}
            reader.post({"query": RUNS_OF_PROJECT, "variables": values}, PATIENCE).raise_for_status()
            reading.append(time.monotonic() - began_at)

    with acting([read] * READERS):
        wait_until(lambda: reading, PATIENCE, "the first heavy read")
        times = [claim_time(api, agent, queue) for _ in range(10)]
        began_at = time.monotonic()
        accounts.with_key(key).run("{ viewer { id } }")
        times.append(time.monotonic() - began_at)
    # Each waited for several reads before they had threads of their own.
    assert max(times) < max(reading) / 2, (times, reading)


def test_a_viewer_has_only_so_many_heavy_reads(server: RunningServer, project: str) -> None:
    answers: list[requests.Response] = []

    def read() -> None:
        with server.api() as reader:
            values = {"p": project, "f": json.dumps({"$and": SLOW}), "n": 1}
            answers.append(reader.post({"query": RUNS_OF_PROJECT, "variables": values}, PATIENCE))

    def refusals() -> list[requests.Response]:
        return [answer for answer in answers if answer.status_code == 429]

    # Each asks again when it is answered: sooner or later, whatever else the machine does, more than 50 wait.
    with acting([read] * 60):
        wait_until(refusals, PATIENCE, "a query was refused")
    refused = refusals()
    assert {answer.headers["Retry-After"] for answer in refused} == {"2"}
    assert "answered one after the other" in refused[0].text
    assert {answer.status_code for answer in answers} == {200, 429}


def test_a_filter_has_only_so_many_patterns(api: Api, project: str) -> None:
    patterns = [{f"config.key{number % 60}": {"$regex": f"(a|b)*{number}"}} for number in range(300)]
    for given in ({"$and": patterns}, {"$or": [{"$not": {"$and": patterns}}]}):
        with pytest.raises(RefusedByServer, match=r"400: The filter has more than 20 patterns \(\$regex\)"):
            api.run(RUNS_OF_PROJECT, {"p": project, "f": json.dumps(given), "n": 1})


@pytest.fixture(scope="module")
def big_run(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientRun]:  # noqa: ARG001
    """A run with 60 lines of 40 kB of each kind, on a server that answers at most a megabyte."""
    with (
        running_server(tmp_path_factory.mktemp("small"), "--max-answer-bytes", "1000000") as server,
        server.api() as api,
    ):
        run = ClientRun(api, fresh_name("big"), config=json.dumps({"text": {"value": "x" * 40_000}}))
        run.log({"_step": step, "text": "y" * 40_000} for step in range(60))
        run.stream({"files": {"output.log": {"offset": 0, "content": [f"2026-01-01T00:00:00 {'z' * 40_000}\n"] * 60}}})
        yield run


@pytest.mark.parametrize(
    "selection",
    [
        " ".join(f"a{number}: config" for number in range(400)),
        " ".join(f'a{number}: wandbConfig(keys: ["a"])' for number in range(100)),
        "history(samples: 100)",
        "history(minStep: 0, samples: 100)",
        r'sampledHistory(specs: ["{\"keys\": [\"text\"], \"samples\": 100}"])',
        r'sampledHistory(specs: ["{\"keys\": [\"text\"], \"samples\": 100, \"minStep\": 0}"])',
        "logLines(last: 100) { edges { node { line } } }",
        "logLines(first: 100) { edges { node { line } } }",
    ],
)
def test_an_answer_has_only_so_many_bytes(big_run: ClientRun, selection: str) -> None:
    with pytest.raises(RefusedByServer, match=r"400: The answer has more than 1000000 bytes.*fewer fields, or for sho"):
        big_run.ask(selection)


def test_a_page_of_runs_has_only_so_many_bytes(big_run: ClientRun) -> None:
    """Also where nothing big of them is asked for: it is read all the same."""
    project = fresh_name("proj")
    for _ in range(30):
        ClientRun(big_run.api, fresh_name("r"), project, config=json.dumps({"text": {"value": "x" * 40_000}}))
    query = "query($p: String, $o: String, $n: Int) { project(name: $p) { runs(order: $o, first: $n) { edges { node"
    for order in (None, "-config.text", "+name"):
        with pytest.raises(RefusedByServer, match="400: The answer has more than 1000000 bytes"):
            big_run.api.run(f"{query} {{ name }} }} }} }} }}", {"p": project, "o": order, "n": 50})
        found = big_run.api.run(f"{query} {{ name }} }} }} }} }}", {"p": project, "o": order, "n": 10})
        assert len(found["project"]["runs"]["edges"]) == 10


def test_what_fits_is_answered(big_run: ClientRun) -> None:
    assert len(big_run.ask("history(samples: 10)")["history"]) == 10
    assert len(big_run.ask(r'sampledHistory(specs: ["{\"keys\": [\"_step\"]}"])')["sampledHistory"][0]) == 60


def share_of_longest_claim(server: RunningServer, act: Callable[[Api], None]) -> float:
    """The longest time of a claim while another client acts, as a share of the time that this takes."""
    with server.api() as api, server.api() as writer:
        queue = fresh_name("queue")
        agent = api.create_agent(api.create_queue(queue))
        acts = threading.Thread(target=act, args=[writer])
        began_at = time.monotonic()
        acts.start()
        longest = claim_time(api, agent, queue)
        while acts.is_alive():
            longest = max(longest, claim_time(api, agent, queue))
        acts.join()
        return longest / (time.monotonic() - began_at)


LINES = 40_000


def test_a_huge_stream_is_written_between_others(server: RunningServer) -> None:
    lines = [json.dumps({"_step": step, "loss": 0.5, "x": {"y": 1}}) for step in range(LINES)]
    body = json.dumps({"files": {"wandb-history.jsonl": {"offset": 0, "content": lines}}}).encode()
    with server.api() as api:
        run = ClientRun(api, fresh_name("huge"))
        share = share_of_longest_claim(server, lambda _: run.post(body, PATIENCE).raise_for_status())
        assert run.ask("historyLineCount historyKeys")["historyLineCount"] == LINES
        keys = run.ask("historyKeys")["historyKeys"]
        assert (keys["keys"]["x.y"]["typeCounts"][0]["count"], keys["lastStep"]) == (LINES, LINES - 1)
    assert share < 0.4


def test_a_huge_artifact_is_committed_and_deleted_between_others(server: RunningServer) -> None:
    references: dict[str, Any] = {
        f"data/{number}": {"digest": "e", "size": 1, "ref": "s3://b/k"} for number in range(LINES)
    }
    kept = content()
    with server.api() as api:
        logged = Logging(api, {"a": kept})
        logged.upload()
        logged.manifest(references | {"a": {"digest": md5_of(kept), "size": len(kept)}})
        share = share_of_longest_claim(server, lambda _: _commit(logged))
        assert logged.look("fileCount size state") == {
            "fileCount": LINES + 1,
            "size": LINES + len(kept),
            "state": "COMMITTED",
        }
        assert share < 0.4
        assert share_of_longest_claim(server, lambda _: delete(api, logged, PATIENCE)) < 0.4
        assert logged.look("state files { edges { node { name } } }") == {"state": "DELETED", "files": {"edges": []}}


def _commit(logged: Logging) -> None:
    logged.commit(PATIENCE)
