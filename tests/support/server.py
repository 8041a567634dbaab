"""A real queue server on a real socket, in a process of its own that tests may kill."""

import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import requests

from launchd.server.settings import ServerSettings
from launchd.server.store.factory import migration_transaction
from launchd.server.store.migrate import migrate
from tests.support.forked_servers import ForkedServer, Forks
from tests.support.waiting import patience

START_SECONDS = 45.0
STOP_SECONDS = 10.0
REQUEST_SECONDS = 40.0


class RefusedByServer(Exception):
    """The server answered with errors."""

    def __init__(self, status: int, messages: Sequence[str], codes: Sequence[str | None] = ()) -> None:
        super().__init__(f"{status}: {'; '.join(messages)}")
        self.status = status
        self.messages = list(messages)
        self.codes = list(codes)


class Api:
    """GraphQL against a server, with a connection of its own. Not for use by two threads at once."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self._session = requests.Session()
        self._session.auth = ("api", key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    def send_header(self, name: str, value: str) -> None:
        """Send a header with every request from now on."""
        self._session.headers[name] = value

    def post(self, body: object, timeout: float = REQUEST_SECONDS) -> requests.Response:
        """Send a GraphQL body as it is."""
        return self._session.post(f"{self.url}/graphql", json=body, timeout=timeout)

    def run(
        self, query: str, variables: Mapping[str, Any] | None = None, timeout: float = REQUEST_SECONDS
    ) -> dict[str, Any]:
        """Data of the answer; RefusedByServer if there are errors."""
        response = self.post({"query": query, "variables": variables, "operationName": ""}, timeout)
        answer = response.json()
        if response.status_code != 200 or answer.get("errors"):
            codes = [error.get("extensions", {}).get("code") for error in answer["errors"]]
            raise RefusedByServer(response.status_code, [error["message"] for error in answer["errors"]], codes)
        data: dict[str, Any] = answer["data"]
        return data

    def mutate(self, field: str, selection: str, **values: object) -> Any:
        """`mutation { field(input: values) { selection } }`; names of values are GraphQL's."""
        kind = f"{field[0].upper()}{field[1:]}Input"
        query = f"mutation($input: {kind}!) {{ {field}(input: $input) {{ {selection} }} }}"
        return self.run(query, {"input": values})[field]

    # What tests do all the time, in one line each.

    def create_queue(
        self,
        name: str,
        *,
        entity: str = "me",
        mode: str = "V0",
        config: object = None,
        variables: object = None,
        resource: str = "local-process",
    ) -> str:
        """Make a queue, or change it, with a run queue's ``config`` and template ``variables``; returns its id."""
        templates = {} if variables is None else {"templateVariables": json.dumps(variables)}
        made = self.mutate(
            "upsertRunQueue",
            "success",
            entityName=entity,
            projectName="model-registry",
            queueName=name,
            resourceType=resource,
            resourceConfig=json.dumps(config or {}),
            prioritizationMode=mode,
            **templates,
        )
        assert made == {"success": True}
        query = """query($e: String!, $q: String!) {
            project(name: "model-registry", entityName: $e) { runQueue(name: $q) { id } } }"""
        queue_id: str = self.run(query, {"e": entity, "q": name})["project"]["runQueue"]["id"]
        return queue_id

    def agent_status(self, agent: str) -> str:
        """Return how the agent stands, as the server shows it."""
        found = self.run("query($id: ID!) { launchAgent(id: $id) { agentStatus } }", {"id": agent})
        return str(found["launchAgent"]["agentStatus"])

    def create_agent(self, *queue_ids: str, entity: str = "me", **more: object) -> str:
        made = self.mutate(
            "createLaunchAgent",
            "launchAgentId",
            entityName=entity,
            projectName="model-registry",
            runQueues=list(queue_ids),
            **{"hostname": "host1", **more},
        )
        agent_id: str = made["launchAgentId"]
        return agent_id

    def push(self, queue: str, spec: object = None, *, entity: str = "me", **options: object) -> str:
        made = self.mutate(
            "pushToRunQueueByName",
            "runQueueItemId",
            entityName=entity,
            projectName="model-registry",
            queueName=queue,
            runSpec=json.dumps(spec or {"project": "p"}),
            **options,
        )
        item_id: str = made["runQueueItemId"]
        return item_id

    def claim(
        self,
        agent: str,
        claim_id: str,
        *,
        items: int = 1,
        schedulers: int = 0,
        wait: float = 0.0,
        gpus: object = None,
    ) -> list[str]:
        answer = self.claim_all(agent, claim_id, items=items, schedulers=schedulers, wait=wait, gpus=gpus)
        return [item["runQueueItemId"] for item in answer["items"]]

    def claim_all(
        self,
        agent: str,
        claim_id: str,
        *,
        items: int = 1,
        schedulers: int = 0,
        wait: float = 0.0,
        gpus: object = None,
    ) -> dict[str, Any]:
        answer: dict[str, Any] = self.mutate(
            "claimRunQueueItems",
            "items { runQueueItemId queueName runSpec lease } stopPolling",
            launchAgentId=agent,
            claimId=claim_id,
            maxItems=items,
            maxSchedulers=schedulers,
            waitSeconds=wait,
            **({} if gpus is None else {"gpus": gpus}),
        )
        return answer

    def report_gpus(self, agent: str, gpus: object) -> bool:
        told: bool = self.mutate("reportGpus", "success", launchAgentId=agent, gpus=gpus)["success"]
        return told

    def why(self, item_id: str) -> list[dict[str, str]]:
        query = "query($id: ID!) { launchRunQueueItem(id: $id) { why { code sentence } } }"
        reasons: list[dict[str, str]] = self.run(query, {"id": item_id})["launchRunQueueItem"]["why"]
        return reasons

    def pop(self, queue: str, agent: str | None = None) -> str | None:
        answer = self.mutate(
            "popFromRunQueue",
            "runQueueItemId runSpec",
            entityName="me",
            projectName="model-registry",
            queueName=queue,
            launchAgentId=agent,
        )
        return answer and str(answer["runQueueItemId"])

    def ack(self, agent: str, *items: str, run: str | None = None) -> list[bool]:
        acks = [{"runQueueItemId": item, "runName": run or f"run-{item}"} for item in items]
        answer = self.mutate("ackRunQueueItems", "results { success }", launchAgentId=agent, acks=acks)
        return [result["success"] for result in answer["results"]]

    def report(self, agent: str, item: str, sequence: int, status: str, **more: object) -> bool:
        report = {"runQueueItemId": item, "sequence": sequence, "status": status, **more}
        answer = self.mutate("reportRunQueueItems", "results { success }", launchAgentId=agent, reports=[report])
        success: bool = answer["results"][0]["success"]
        return success

    def results_of_acks(self, agent: str, *acks: Mapping[str, object]) -> list[dict[str, Any]]:
        selection = "results { runQueueItemId success answer message }"
        results: list[dict[str, Any]] = self.mutate(
            "ackRunQueueItems", selection, launchAgentId=agent, acks=list(acks)
        )["results"]
        return results

    def results_of_reports(self, agent: str, *reports: Mapping[str, object]) -> list[dict[str, Any]]:
        selection = "results { runQueueItemId success answer message }"
        results: list[dict[str, Any]] = self.mutate(
            "reportRunQueueItems", selection, launchAgentId=agent, reports=list(reports)
        )["results"]
        return results

    def watch(self, agent: str, *held: Mapping[str, object], wait: float = 0.0, **more: object) -> dict[str, Any]:
        """A heartbeat of an agent that holds these items, and no others."""
        answer: dict[str, Any] = self.mutate(
            "watchLaunchAgent",
            "stopPolling stops { runQueueItemId } mustResume unknownToAgent { runQueueItemId lease queueName runName }",
            launchAgentId=agent,
            agentStatus="RUNNING",
            seenStops=[],
            waitSeconds=wait,
            held=list(held),
            **more,
        )
        return answer

    def resume(self, agent: str, *held: Mapping[str, object], **more: object) -> dict[str, Any]:
        """A resumption of an agent that holds these items, and no others."""
        answer: dict[str, Any] = self.mutate(
            "resumeLaunchAgent",
            "success returned unknownToAgent { runQueueItemId lease queueName runName }"
            " results { runQueueItemId answer message }",
            launchAgentId=agent,
            held=list(held),
            **more,
        )
        return answer

    def report_all(self, agent: str, items: Sequence[str], sequence: int, status: str) -> list[bool]:
        reports = [{"runQueueItemId": item, "sequence": sequence, "status": status} for item in items]
        answer = self.mutate("reportRunQueueItems", "results { success }", launchAgentId=agent, reports=reports)
        return [result["success"] for result in answer["results"]]

    def item(self, item_id: str) -> dict[str, Any] | None:
        query = """query($id: ID!) { launchRunQueueItem(id: $id) {
            id state associatedRunId queueName entityName priority runSpec createdAt leasedAt startedAt finishedAt
            launchAgentId status phase message stage exitCode warnings { message stage createdAt } stopRequested
            stopReason
        } }"""
        found: dict[str, Any] | None = self.run(query, {"id": item_id})["launchRunQueueItem"]
        return found

    def state(self, item_id: str) -> str:
        found = self.item(item_id)
        assert found is not None
        return str(found["state"])


@dataclass(frozen=True)
class Account:
    """A user of a server that other tests use too, with an entity of the same name."""

    url: str
    key: str
    entity: str

    def api(self) -> Api:
        """A new connection as this user."""
        return Api(self.url, self.key)


class RunningServer:
    """One server over one data directory, through any number of deaths. `url` stays the same."""

    def __init__(
        self, data_dir: Path, options: Sequence[str], environment: Mapping[str, str], *, apart: bool = False
    ) -> None:
        self.data_dir = data_dir
        self._apart = apart
        self._options = options
        self._port = 0
        self._environment = {**os.environ, **_store_environment(), **environment}
        self.start()

    @property
    def key(self) -> str:
        return (self.data_dir / "admin.key").read_text().strip()

    @property
    def database(self) -> dict[str, str]:
        """The variable that names its database; none where that is in the data directory."""
        return {name: value for name, value in self._environment.items() if name == "LAUNCHD_DATABASE_URL"}

    @property
    def log(self) -> str:
        return (self.data_dir.parent / "server.log").read_text()

    def api(self) -> Api:
        """A new connection as the admin."""
        return Api(self.url, self.key)

    def account(self) -> Account:
        """A new user with an entity of their own."""
        name = fresh_name("user")
        with self.api() as admin:
            made = admin.mutate("createUser", "key", email=f"{name}@example.org", username=name, admin=False)
        return Account(self.url, made["key"], name)

    def start(self) -> None:
        """Start the process; returns when it answers."""
        arguments = ["--data-dir", str(self.data_dir), "--port", str(self._port), "--entity", "me", *self._options]
        with (self.data_dir.parent / "server.log").open("a") as log:
            self.process = self._start_process(arguments, log)
        self.url = self._read_url()
        self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """SIGKILL, now."""
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self._reap()

    def restart(self) -> None:
        """SIGKILL and start again over the same directory and port."""
        self.kill()
        self.start()

    def _start_process(self, arguments: Sequence[str], log: IO[str]) -> "subprocess.Popen[str] | ForkedServer":
        if not self._apart:
            return _forks().start(arguments, log, self._environment)
        command = [sys.executable, "-m", "launchd.server", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment)

    def _reap(self) -> int:
        code = self.process.wait(patience(STOP_SECONDS))
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def _read_url(self) -> str:
        assert self.process.stdout is not None
        guard = threading.Timer(patience(START_SECONDS), self.process.kill)
        guard.start()
        url = self.process.stdout.readline().strip()
        guard.cancel()
        if not url:
            self._reap()
            raise RuntimeError(f"the server did not start:\n{self.log}")
        return url


_new_database: Callable[[], str] | None = None
_kept_forks: Forks | None = None


def _forks() -> Forks:
    """What servers are forks of in this process of the run, from the first one on."""
    global _kept_forks
    if _kept_forks is None:
        _kept_forks = Forks()
    return _kept_forks


def end_forks() -> None:
    """End it, at the end of the tests."""
    global _kept_forks
    if _kept_forks is not None:
        _kept_forks.close()
        _kept_forks = None


@contextmanager
def stored_in(new_database: Callable[[], str] | None) -> Iterator[None]:
    """Every server that is made inside has a database of its own, at the address that this gives; None: SQLite."""
    global _new_database
    before, _new_database = _new_database, new_database
    try:
        yield
    finally:
        _new_database = before


def _store_environment() -> dict[str, str]:
    return {"LAUNCHD_DATABASE_URL": _new_database()} if _new_database else {}


@functools.cache
def _migrated_database() -> bytes:
    """The file of a SQLite database with the tables of the store and no rows: a copy is faster than to migrate each."""
    with tempfile.TemporaryDirectory() as name:
        settings = ServerSettings(data_dir=Path(name))
        with migration_transaction(settings) as connection:
            migrate(connection, "the template")
        return settings.database_path.read_bytes()


def _give_tables(data_dir: Path) -> None:
    """Put a migrated database where a new server will look for its own, unless there is anything."""
    if _new_database is None and not data_dir.exists():
        data_dir.mkdir(mode=0o700)
        ServerSettings(data_dir=data_dir).database_path.write_bytes(_migrated_database())


#: Options of a server that tests share: what an agent of one says must not pause the claims of the others, and the
#: wrong keys of one are none of the others'.
SHARED = ("--restore-pause-seconds", "0", "--wrong-key-burst", "1000000")


@contextmanager
def running_server(
    directory: Path,
    *options: str,
    empty: bool = False,
    apart: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[RunningServer]:
    """A server with its data below `directory`, killed at the end; options are those of `python -m launchd.server`.

    It finds its tables made, unless it shall begin with nothing (`empty`). It is a fork of a process that has imported
    what a server needs, unless it begins with nothing, shall be an interpreter of its own (`apart`), or has an
    environment in which the interpreter or the loader reads something. `environment` is added to this process's.
    """
    if not empty:
        _give_tables(directory / "server")
    server = RunningServer(
        directory / "server", options, environment or {}, apart=apart or empty or _is_for_a_start(environment or {})
    )
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()


def _is_for_a_start(environment: Mapping[str, str]) -> bool:
    return any(name.startswith(("LD_", "PYTHON")) for name in environment)


_names = itertools.count(1)


def fresh_name(kind: str) -> str:
    """A name that no other test of this process uses."""
    return f"{kind}{next(_names)}"
