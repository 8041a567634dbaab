"""One member who reads, or writes, as much as they can: nobody else waits for it, and no answer fills the memory."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.accounts import Accounts
from tests.support.artifacts import Logging, content
from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name, running_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.dialect

READERS = 6
RUNS = 400
#: A claim of an idle server takes a hundredth of it.
SECONDS = 2.0
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


@contextmanager
def acting(act: Callable[[], object], count: int = 1) -> Iterator[None]:
    """Several threads that act again and again while inside."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            act()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_nobody_waits_for_the_heavy_reads_of_others(
    accounts: Accounts, server: RunningServer, api: Api, project: str
) -> None:
    queue = fresh_name("queue")
    agent = api.create_agent(api.create_queue(queue))
    key = api.mutate("generateApiKey", "key")["key"]
    done = []

    def read() -> None:
        with server.api() as reader:
            reader.run(RUNS_OF_PROJECT, {"p": project, "f": json.dumps({"$and": SLOW}), "n": 1000})
            done.append(time.monotonic())

    with acting(read, READERS):
        wait_until(lambda: done, 60, "the first heavy read")
        times = [claim_time(api, agent, queue) for _ in range(10)]
        began_at = time.monotonic()
        accounts.with_key(key).run("{ viewer { id } }")
        times.append(time.monotonic() - began_at)
    assert max(times) < SECONDS, (times, len(done))


def test_a_viewer_has_only_so_many_heavy_reads(server: RunningServer, project: str) -> None:
    answers: list[requests.Response] = []

    def read() -> None:
        with server.api() as reader:
            values = {"p": project, "f": json.dumps({"$and": SLOW}), "n": 1}
            answers.append(reader.post({"query": RUNS_OF_PROJECT, "variables": values}, timeout=120))

    threads = [threading.Thread(target=read) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.headers["Retry-After"] for answer in refused} == {"2"}
    assert "answered one after the other" in refused[0].text
    assert {answer.status_code for answer in answers} == {200, 429}


def test_a_filter_has_only_so_many_patterns(api: Api, project: str) -> None:
    patterns = [{f"config.key{number % 60}": {"$regex": f"(a|b)*{number}"}} for number in range(300)]
    for given in ({"$and": patterns}, {"$or": [{"$not": {"$and": patterns}}]}):
        with pytest.raises(RefusedByServer, match=r"400: The filter has more than 20 patterns \(\$regex\)"):
            api.run(RUNS_OF_PROJECT, {"p": project, "f": json.dumps(given), "n": 1})


@pytest.fixture(scope="module")
def big_run(server: RunningServer) -> Iterator[ClientRun]:
    """A run with a config of 2 MiB and 60 lines of 2 MiB."""
    with server.api() as api:
        run = ClientRun(api, fresh_name("big"), config=json.dumps({"text": {"value": "x" * 2**21}}))
        for step in range(60):
            run.log([{"_step": step, "text": "y" * 2**21}], step)
            console = {"offset": step, "content": [f"2026-01-01T00:00:00 {'z' * 2**21}\n"]}
            run.stream({"files": {"output.log": console}})
        yield run


@pytest.mark.parametrize(
    "selection",
    [
        " ".join(f"a{number}: config" for number in range(500)),
        " ".join(f'a{number}: wandbConfig(keys: ["a"])' for number in range(500)),
        "history(samples: 100)",
        "history(minStep: 0, samples: 100)",
        r'sampledHistory(specs: ["{\"keys\": [\"text\"], \"samples\": 100}"])',
        r'sampledHistory(specs: ["{\"keys\": [\"text\"], \"samples\": 100, \"minStep\": 0}"])',
        "logLines(last: 100) { edges { node { line } } }",
        "logLines(first: 100) { edges { node { line } } }",
    ],
)
def test_an_answer_has_only_so_many_bytes(server: RunningServer, big_run: ClientRun, selection: str) -> None:
    before = memory_of(server)
    with pytest.raises(RefusedByServer, match=r"400: The answer has more than 67108864 bytes.*fewer fields, or for sh"):
        big_run.ask(selection)
    assert memory_of(server) - before < 2**29


def memory_of(server: RunningServer) -> int:
    """The most memory in bytes that the server's process has ever had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_what_fits_is_answered(big_run: ClientRun) -> None:
    assert len(big_run.ask("history(samples: 10)")["history"]) == 10
    assert len(big_run.ask('sampledHistory(specs: ["{\\"keys\\": [\\"_step\\"]}"])')["sampledHistory"][0]) == 60


def in_pieces(server: RunningServer, act: Callable[[Api], None]) -> float:
    """The longest time in seconds of a claim while another client acts."""
    with server.api() as api, server.api() as writer:
        queue = fresh_name("queue")
        agent = api.create_agent(api.create_queue(queue))
        acts = threading.Thread(target=act, args=[writer])
        acts.start()
        longest = claim_time(api, agent, queue)
        while acts.is_alive():
            longest = max(longest, claim_time(api, agent, queue))
        acts.join()
    return longest


LINES = 100_000


def test_a_huge_stream_is_written_between_others(server: RunningServer) -> None:
    def stream(writer: Api) -> None:
        ClientRun(writer, "huge").log({"_step": step, "loss": 0.5, "x": {"y": 1}} for step in range(LINES))

    longest = in_pieces(server, stream)
    with server.api() as api:
        run = ClientRun(api, "huge")
        assert run.ask("historyLineCount historyKeys")["historyLineCount"] == LINES
        keys = run.ask("historyKeys")["historyKeys"]
        assert (keys["keys"]["x.y"]["typeCounts"][0]["count"], keys["lastStep"]) == (LINES, LINES - 1)
    assert longest < SECONDS


def test_a_huge_artifact_is_committed_between_others(server: RunningServer) -> None:
    references: dict[str, Any] = {
        f"data/{number}": {"digest": "e", "size": 1, "ref": "s3://b/k"} for number in range(LINES)
    }
    kept = content()

    def commit(writer: Api) -> None:
        logged = Logging(writer, {"a": kept, "b": kept}, name="huge")
        logged.upload()
        logged.manifest(references | {"a": {"digest": logged.announce()[0]["digest"], "size": len(kept)}})
        logged.commit()

    assert in_pieces(server, commit) < SECONDS
    with server.api() as api:
        query = '{ project(name: "proj1") { artifact(name: "huge:v0") { fileCount size state } } }'
        found = api.run(query)["project"]["artifact"]
        assert found == {"fileCount": LINES + 1, "size": LINES + len(kept), "state": "COMMITTED"}


def test_what_changes_while_it_is_committed_is_not_committed(tmp_path: Path) -> None:
    """Who adds a file meanwhile does not get it into a version whose manifest has no such file."""
    with running_server(tmp_path) as server, server.api() as api, server.api() as other:
        logged = Logging(api, {"a": content()})
        logged.manifest({f"data/{number}": {"digest": "e", "size": 1, "ref": "s3://b/k"} for number in range(LINES)})
        spec = {"artifactID": logged.id, "name": "evil", "md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}

        def announce() -> None:
            other.mutate("createArtifactFiles", "files { edges { node { name } } }", artifactFiles=[spec])

        committing = threading.Thread(target=lambda: refused.append(_refusal(logged)))
        refused: list[str] = []
        committing.start()
        while committing.is_alive() and not refused:
            try:
                announce()
            except RefusedByServer:
                break
        committing.join()
        assert refused == [] or "was changed while it was being committed" in refused[0]
        state = logged.look("state fileCount")
        assert state["state"] == "PENDING" or state["fileCount"] == LINES


def _refusal(logged: Logging) -> str:
    try:
        logged.commit()
    except RefusedByServer as error:
        return str(error)
    return ""
