"""A W&B server on a real socket, as far as an agent sees it: W&B's operations, none of ours, and faults on demand.

Where our own server goes further (waiting claims, reports, acknowledgements that may be repeated), this one answers as
W&B's does: a second acknowledgement is refused, success of an item is never reported, runs are asked for one by one.
"""

import json
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "k" * 40
ENTITY = "me"

MUTATIONS = (
    "createLaunchAgent",
    "updateLaunchAgent",
    "popFromRunQueue",
    "ackRunQueueItem",
    "failRunQueueItem",
    "updateRunQueueItemWarning",
    "pushToRunQueueByName",
)


class Fault(StrEnum):
    """What comes instead of an answer."""

    STATUS_500 = "500"
    RESET = "reset"
    HANG = "hang"
    GARBAGE = "garbage"


@dataclass
class Knob:
    """A fault that is met ``times`` times; ``done`` says that what was asked happens all the same."""

    fault: Fault
    done: bool
    times: int = 1


@dataclass
class StoredItem:
    """One run queue item. ``acks`` counts the acknowledgements that were accepted."""

    id: str
    queue: str
    run_spec: dict[str, Any]
    state: str = "PENDING"
    run_id: str | None = None
    leased_at: float = 0.0
    acks: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


class WandbServer(ThreadingHTTPServer):
    """The server. Its state is open to the test; ``lock`` guards it."""

    daemon_threads = True

    def __init__(self, queues: tuple[str, ...], lease_seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.RLock()
        self.ending = threading.Event()
        self.lease_seconds = lease_seconds
        self.queues = queues
        self.items: dict[str, StoredItem] = {}
        self.statuses: dict[str, list[str]] = {}
        self.stop_polling = False
        self.stopped_runs: set[str] = set()
        self.sweeps: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.popped_from: list[str] = []
        self.history: list[str] = []
        self.faults: dict[str, Knob] = {}
        self.met: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.refusals = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that were killed in the middle of a word."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def key(self) -> str:
        return KEY

    def push(self, queue: str, **spec: Any) -> str:
        """Queue an item; returns its id."""
        with self.lock:
            item_id = f"item-{len(self.items) + 1}"
            run_spec = {"entity": ENTITY, "project": "tests", "resource": "local-process", **spec}
            self.items[item_id] = StoredItem(item_id, queue, run_spec)
        return item_id

    def break_operations(self, fault: Fault, *operations: str, done: bool = False) -> None:
        """Have each of ``operations`` meet ``fault`` once; ``done``: only its answer is lost."""
        with self.lock:
            self.faults |= {operation: Knob(fault, done) for operation in operations}

    def state(self, item_id: str) -> str:
        with self.lock:
            return self.items[item_id].state

    def take_fault(self, operation: str) -> Knob | None:
        """Return the fault that this request meets, if it is to meet one."""
        with self.lock:
            knob = self.faults.get(operation)
            if knob is None or not knob.times:
                return None
            knob.times -= 1
            self.met[operation] += 1
            return knob

    def answer(self, operation: str, variables: dict[str, Any]) -> Any:
        """Do what was asked; returns ``data``."""
        with self.lock:
            self.asked[operation] += 1
            self.history.append(operation)
            return ANSWERS[operation](self, variables)


def _capabilities(_server: WandbServer, _variables: dict[str, Any]) -> Any:
    def named(*names: str) -> list[dict[str, str]]:
        return [{"name": name} for name in names]

    return {
        "mutation": {"fields": named(*MUTATIONS)},
        "create_agent": {"inputFields": named("entityName", "runQueues", "hostname", "agentConfig", "version")},
        "fail_item": {"inputFields": named("runQueueItemId", "message", "stage", "filePaths")},
        "push": {"inputFields": named("queueName", "runSpec", "priority")},
    }


def _viewer(_server: WandbServer, _variables: dict[str, Any]) -> Any:
    return {"entity": ENTITY, "username": ENTITY, "teams": {"edges": []}}


def _queues(server: WandbServer, _variables: dict[str, Any]) -> Any:
    return {"runQueues": [{"id": f"queue-{name}", "name": name, "access": "PROJECT"} for name in server.queues]}


def _create_queue(server: WandbServer, variables: dict[str, Any]) -> Any:
    server.queues += (variables["queue"],)
    return {"success": True, "queueID": f"queue-{variables['queue']}"}


def _create_agent(server: WandbServer, _variables: dict[str, Any]) -> Any:
    agent_id = f"agent-{len(server.statuses) + 1}"
    server.statuses[agent_id] = []
    return {"launchAgentId": agent_id}


def _agent(server: WandbServer, variables: dict[str, Any]) -> Any:
    statuses = server.statuses.get(variables["id"])
    if statuses is None:
        return None
    queue_ids = [f"queue-{name}" for name in server.queues]
    return {
        "id": variables["id"],
        "name": f"name-of-{variables['id']}",
        "runQueues": queue_ids,
        "agentStatus": statuses[-1] if statuses else "POLLING",
        "stopPolling": server.stop_polling,
    }


def _update_agent(server: WandbServer, variables: dict[str, Any]) -> Any:
    server.statuses[variables["id"]].append(variables["status"])
    return {"success": True}


def _pop(server: WandbServer, variables: dict[str, Any]) -> Any:
    now = time.monotonic()
    for item in server.items.values():
        lease_over = item.state == "LEASED" and now - item.leased_at > server.lease_seconds
        if item.queue == variables["queue"] and (item.state == "PENDING" or lease_over):
            item.state, item.leased_at = "LEASED", now
            server.popped_from.append(item.queue)
            return {"runQueueItemId": item.id, "runSpec": item.run_spec}
    return None


def _ack(server: WandbServer, variables: dict[str, Any]) -> Any:
    item = server.items[variables["itemId"]]
    if item.state != "LEASED":
        return {"success": False}
    item.state, item.run_id, item.acks = "CLAIMED", variables["runId"], item.acks + 1
    return {"success": True}


def _fail(server: WandbServer, variables: dict[str, Any]) -> Any:
    item = server.items[variables["itemId"]]
    item.state = "FAILED"
    item.failures.append((variables["message"], variables["stage"]))
    return {"success": True}


def _item(server: WandbServer, variables: dict[str, Any]) -> Any:
    item = server.items.get(variables["itemId"])
    if item is None or item.queue != variables["queue"]:
        return {"runQueue": {"id": "queue", "runQueueItem": None}}
    shown = {"id": item.id, "state": item.state, "associatedRunId": item.run_id}
    return {"runQueue": {"id": f"queue-{item.queue}", "runQueueItem": shown}}


def _run_stopped(server: WandbServer, variables: dict[str, Any]) -> Any:
    return {"run": {"stopped": variables["name"] in server.stopped_runs}}


def _sweep(server: WandbServer, variables: dict[str, Any]) -> Any:
    state = server.sweeps.get(variables["sweep"])
    return {"sweep": state and {"state": state}}


def _warn(_server: WandbServer, _variables: dict[str, Any]) -> Any:
    return {"success": True}


def _push(server: WandbServer, variables: dict[str, Any]) -> Any:
    return {"runQueueItemId": server.push(variables["queue"], **json.loads(variables["runSpec"]))}


ANSWERS: dict[str, Callable[[WandbServer, dict[str, Any]], Any]] = {
    "Capabilities": _capabilities,
    "Viewer": _viewer,
    "ProjectRunQueues": _queues,
    "CreateProject": lambda _server, _variables: {"inserted": True},
    "CreateDefaultResourceConfig": lambda _server, _variables: {"success": True, "defaultResourceConfigID": "config"},
    "CreateRunQueue": _create_queue,
    "createLaunchAgent": _create_agent,
    "LaunchAgent": _agent,
    "updateLaunchAgent": _update_agent,
    "popFromRunQueue": _pop,
    "ackRunQueueItem": _ack,
    "failRunQueueItem": _fail,
    "updateRunQueueItemWarning": _warn,
    "GetRunQueueItem": _item,
    "RunStoppedStatus": _run_stopped,
    "GetSweepState": _sweep,
    "pushToRunQueueByName": _push,
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WandbServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation: str = body["operationName"]
        knob = self.server.take_fault(operation)
        if knob is None:
            self._answer(operation, body["variables"])
            return
        if knob.done:
            self.server.answer(operation, body["variables"])
        self._fail(knob.fault)

    def _answer(self, operation: str, variables: dict[str, Any]) -> None:
        if operation not in ANSWERS or operation in self.server.refused:
            self.server.refusals += 1
            self._send(400, {"errors": [{"message": f"This server has no {operation}."}]})
            return
        data = self.server.answer(operation, variables)
        self._send(200, {"data": data if operation == "Capabilities" else {"result": data}})

    def _fail(self, fault: Fault) -> None:
        match fault:
            case Fault.STATUS_500:
                self._send(500, {"errors": [{"message": "try again"}]})
            case Fault.GARBAGE:
                self._send_bytes(200, b"<html>a proxy's page</html>")
            case Fault.RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
            case Fault.HANG:
                self.server.ending.wait(20.0)
                self.close_connection = True

    def _send(self, status: int, answer: object) -> None:
        self._send_bytes(status, json.dumps(answer).encode())

    def _send_bytes(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        """Say nothing."""


@contextmanager
def wandb_server(*queues: str, lease_seconds: float = 60.0) -> Iterator[WandbServer]:
    """A running server with these queues of entity ``me``."""
    server = WandbServer(queues or ("default",), lease_seconds)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.ending.set()
        server.shutdown()
        thread.join()
        server.server_close()
