"""Heavy reads and huge writes at the queue server: how long a claim takes beside them."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import requests

from benchmarks.table import Figure, milliseconds, percentile
from tests.support.accounts import Accounts, make_accounts
from tests.support.acting import acting
from tests.support.artifacts import Logging
from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name, running_server

READERS = 8
RUNS = 1_500
READING_SECONDS = 20.0
#: Lines of one request of the file stream, and files of one artifact.
HUGE = 300_000
_PATIENCE = 300.0
#: W&B's server answers a page of as many references; they need no upload each.
_REFERENCE = {"digest": "an etag", "size": 1, "ref": "s3://bucket/key"}


class _Claims:
    """An agent that takes items one by one, each pushed just before."""

    def __init__(self, server: RunningServer) -> None:
        self._api = server.api()
        self._queue = fresh_name("queue")
        self._agent = self._api.create_agent(self._api.create_queue(self._queue))

    def take(self, go_on: Callable[[], bool]) -> list[float]:
        """Times in seconds of the claims, at least one."""
        times = [self._take()]
        while go_on():
            time.sleep(0.01)
            times.append(self._take())
        return times

    def _take(self) -> float:
        self._api.push(self._queue)
        began_at = time.monotonic()
        # It may be an earlier one, whose lease has ended.
        assert len(self._api.claim(self._agent, fresh_name("claim"))) == 1
        return time.monotonic() - began_at

    def during(self, act: Callable[[], None]) -> list[float]:
        """As `take`, while `act` goes on in another thread."""
        acting = threading.Thread(target=act)
        acting.start()
        times = self.take(acting.is_alive)
        acting.join()
        return times


def measure(directory: Path, _jobs: int) -> list[Figure]:
    """Return the times of a claim: alone, beside heavy readers, during a huge stream and during a huge commit."""
    with running_server(directory, apart=True) as server, make_accounts(server) as accounts, server.api() as api:
        claims = _Claims(server)
        run, logged = _huge_run(api), _huge_artifact(api)
        idle = claims.take(_for_seconds(3.0))
        with _heavy_readers(*_team_with_runs(accounts)):
            read = claims.take(_for_seconds(READING_SECONDS))
        streamed = claims.during(run)
        committed = claims.during(logged)
    baseline = f"idle: {_times(idle)}"
    return [
        Figure(
            f"claim beside {READERS} heavy readers",
            _times(read),
            "p99 ≤ 250 ms",
            baseline,
            percentile(read, 99) <= 0.25,
        ),
        Figure(
            f"claim while {HUGE} lines of a run arrive at once",
            _times(streamed),
            "longest ≤ 1 s",
            baseline,
            max(streamed) <= 1,
        ),
        Figure(
            f"claim while an artifact of {HUGE} references is committed",
            _times(committed),
            "longest ≤ 1 s",
            baseline,
            max(committed) <= 1,
        ),
    ]


def _times(seconds: list[float]) -> str:
    return f"{milliseconds(seconds)}, longest {max(seconds) * 1000:.0f} ms ({len(seconds)} claims)"


def _for_seconds(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def _team_with_runs(accounts: Accounts) -> tuple[str, list[Api]]:
    """A team with a project of many runs, and members of it, one for each reader."""
    owner, api = accounts.user()
    team = accounts.team(owner)
    config = json.dumps({f"key{number}": {"value": f"value {number} " * 5} for number in range(100)})
    for number in range(RUNS):
        api.mutate("upsertBucket", "inserted", name=f"r{number}", modelName="p", entityName=team, config=config)
    return team, [accounts.member(team, "VIEWER")[1] for _ in range(READERS)]


def _heavy_readers(team: str, readers: list[Api]) -> AbstractContextManager[None]:
    """Each reader filters all runs by many conditions, again and again, while inside."""
    conditions = [{f"config.key{number % 100}": {"$ne": f"other {number}"}} for number in range(400)]
    patterns = [{f"config.key{number}": {"$regex": f"(value|other) {number}.*[0-9]"}} for number in range(20)]
    values = {"e": team, "f": json.dumps({"$and": conditions + patterns})}
    return acting([partial(_read, reader, values) for reader in readers])


def _read(api: Api, values: dict[str, str]) -> None:
    query = """query($e: String, $f: JSONString) {
        project(name: "p", entityName: $e) { runs(filters: $f, first: 1000) { edges { node { name config } } } } }"""
    try:
        api.run(query, values)
    except (RefusedByServer, requests.RequestException):
        time.sleep(0.1)


def _huge_run(api: Api) -> Callable[[], None]:
    """Sends all lines of a run in one request of the file stream."""
    run = ClientRun(api, name=fresh_name("huge"))
    lines = [json.dumps({"_step": step, "loss": 0.5, "accuracy": 0.25}) for step in range(HUGE)]
    body = json.dumps({"files": {"wandb-history.jsonl": {"offset": 0, "content": lines}}}).encode()
    return lambda: _expect_success(run.post(body, timeout=_PATIENCE))


def _expect_success(response: requests.Response) -> None:
    response.raise_for_status()


def _huge_artifact(api: Api) -> Callable[[], None]:
    """Commits an artifact of many references."""
    logged = Logging(api, {})
    logged.manifest({f"data/{number}": _REFERENCE for number in range(HUGE)})
    query = "mutation($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { state } } }"
    return lambda: _expect_success(api.post({"query": query, "variables": {"id": logged.id}}, timeout=_PATIENCE))
