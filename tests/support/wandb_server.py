"""A W&B server on a real socket, built from recorded requests, with faults on demand.

It refuses what no client of W&B's has ever sent (``wandb_schema``), answers in the recorded shapes (``wandb_answers``),
and takes files and heartbeats of runs as W&B's server does. None of our own operations is there. Three flavours: a
modern server, an old one that clients find little in, and a modern one that hides its schema.
"""

import json
import sys
import threading
import urllib.parse
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from typing import Any

from graphql import DocumentNode, ExecutionResult, GraphQLError, GraphQLSchema, execute_sync, parse, validate

from tests.support.http_servers import LocalServer, QuietHandler, serving
from tests.support.wandb_answers import answers_of
from tests.support.wandb_faults import Fault, Knob, reset
from tests.support.wandb_schema import modern_schema, old_schema
from tests.support.wandb_state import ENTITY, StoredItem, WandbState

__all__ = ["ENTITY", "KEY", "Fault", "Flavour", "StoredItem", "WandbServer", "wandb_server"]

KEY = "k" * 40
AUTHORIZATION = f"Basic {b64encode(f'api:{KEY}'.encode()).decode()}"

#: The longest that a request which hangs, or an answer that drips, is kept.
HANG_SECONDS = 20.0
DRIP_SECONDS = 0.05


class Flavour(StrEnum):
    """What kind of W&B server it is."""

    MODERN = "modern"
    OLD = "old"
    HIDDEN = "hidden schema"


class WandbServer(LocalServer, WandbState):
    """The server. Its state is open to the test."""

    daemon_threads = True

    def __init__(self, queues: tuple[str, ...], lease_seconds: float, flavour: Flavour) -> None:
        LocalServer.__init__(self, _Handler)
        WandbState.__init__(self, queues, lease_seconds, self.url)
        self.flavour = flavour
        self.schema = old_schema() if flavour is Flavour.OLD else modern_schema()
        self.ending = threading.Event()
        self.faults: dict[str, Knob] = {}
        self.met: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.refusals = 0
        #: What no W&B server would have taken, in words.
        self.foreign: list[str] = []
        #: Seconds, where a fault names some.
        self.retry_after = 1
        #: Headers of every answer.
        self.headers: dict[str, str] = {}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that were killed in the middle of a word."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """End what hangs."""
        self.ending.set()

    @property
    def key(self) -> str:
        return KEY

    def break_operations(self, fault: Fault, *operations: str, done: bool = False, times: int = 1) -> None:
        """Have each of ``operations`` meet ``fault``; ``done``: only its answer is lost."""
        with self.lock:
            self.faults |= {operation: Knob(fault, done, times) for operation in operations}

    def take_fault(self, operation: str) -> Knob | None:
        """Return the fault that this request meets, if it is to meet one."""
        with self.lock:
            knob = self.faults.get(operation)
            if knob is None or not knob.times:
                return None
            knob.times -= 1
            self.met[operation] += 1
            return knob

    def answer(self, operation: str, query: str, variables: dict[str, Any]) -> tuple[int, Any]:
        """Do what was asked; returns the status and the body."""
        document, errors = _checked(self.schema, query)
        if self.flavour is Flavour.HIDDEN and "__type" in query:
            errors = [GraphQLError("GraphQL introspection is not allowed.")]
        elif errors:
            self.foreign += [f"{operation}: {error.message}" for error in errors]
        if errors:
            return 400, {"errors": [{"message": error.message} for error in errors]}
        with self.lock:
            self.asked[operation] += 1
            self.history.append(operation)
            result = execute_sync(self.schema, document, answers_of(self), variable_values=variables)
        return _answer_of(result)


@cache
def _checked(schema: GraphQLSchema, query: str) -> tuple[DocumentNode, list[GraphQLError]]:
    document = parse(query)
    return document, validate(schema, document)


def _answer_of(result: ExecutionResult) -> tuple[int, Any]:
    if result.errors:
        return 400, {"errors": [{"message": error.message} for error in result.errors], "data": result.data}
    return 200, {"data": result.data}


class _Handler(QuietHandler):
    server: WandbServer

    def do_POST(self) -> None:  # noqa: N802 - the name in the standard library
        body = self._body()
        if self.headers.get("Authorization") != AUTHORIZATION:
            self._send(401, {"errors": [{"message": "permission denied"}]})
        elif self.path == "/graphql":
            request = json.loads(body)
            self._meet(request["operationName"], lambda: self._graphql(request))
        elif self.path.startswith("/files/") and self.path.endswith("/file_stream"):
            self._meet("file_stream", lambda: self._file_stream(json.loads(body)))
        else:
            self._send(404, {"errors": [{"message": "not found"}]})

    def do_GET(self) -> None:  # noqa: N802 - the name in the standard library
        self._meet("GET", self._stored)

    def do_PUT(self) -> None:  # noqa: N802 - the name in the standard library
        content = self._body()
        self._meet("PUT", lambda: self._store(content))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _meet(self, operation: str, answer: Any) -> None:
        """Answer, or do to ``operation`` what is to happen to it."""
        knob = self.server.take_fault(operation)
        if knob is None:
            self._send(*answer())
            return
        if knob.done:
            answer()
        self._fail(knob.fault)

    def _graphql(self, request: dict[str, Any]) -> tuple[int, Any]:
        operation = request["operationName"]
        if operation in self.server.refused:
            self.server.refusals += 1
            return 400, {"errors": [{"message": f"{operation} is not for you."}]}
        return self.server.answer(operation, request["query"], request["variables"])

    def _file_stream(self, told: dict[str, Any]) -> tuple[int, Any]:
        _, _, _entity, _project, name, _ = self.path.split("/")
        with self.server.lock:
            run = self.server.runs.get(name)
            if run is None:
                return 404, {"error": "run not found"}
            run.beats += 1
            run.uploaded += told.get("uploaded", [])
            if told.get("complete"):
                run.state = "finished" if told["exitcode"] == 0 else "failed"
        return 200, {"exitcode": None, "limits": {}}

    def _store(self, content: bytes) -> tuple[int, Any]:
        _, _, _, _entity, _project, name, *path = urllib.parse.unquote(self.path).split("/")
        if self.headers.get("Authorization") or self.headers.get("X-Mock-Upload") != "yes":
            return 403, {"error": "the signature of this address is all that it takes"}
        with self.server.lock:
            self.server.runs[name].files["/".join(path)] = content
        return 200, {}

    def _stored(self) -> tuple[int, Any]:
        _, _, _, artifact, *path = urllib.parse.unquote(self.path).split("/")
        if self.headers.get("Authorization"):
            return 403, {"error": "the signature of this address is all that it takes"}
        return 200, self.server.artifacts[artifact].files["/".join(path)]

    def _fail(self, fault: Fault) -> None:
        match fault:
            case Fault.RETRY_AFTER:
                self._send(503, {"errors": [{"message": "later"}]}, {"Retry-After": str(self.server.retry_after)})
            case Fault.PROXY_404:
                self.answer(404, b"<html>default backend - 404</html>")
            case Fault.ERRORS_200:
                self._send(200, {"errors": [{"message": "something went wrong"}], "data": None})
            case Fault.NULL_DATA:
                self._send(200, {"data": None})
            case Fault.GARBAGE:
                self.answer(200, b"<html>a proxy's page</html>")
            case Fault.RESET:
                self.close_connection = True
                reset(self.connection)
            case Fault.HANG:
                self.server.ending.wait(HANG_SECONDS)
                self.close_connection = True
            case Fault.DRIP:
                self._drip()
            case _:
                self._send(int(fault), {"errors": [{"message": "not now, not so, or not you"}]})

    def _drip(self) -> None:
        """Send a byte now and then, so that each wait for the next one is short."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        for _ in range(int(HANG_SECONDS / DRIP_SECONDS)):
            try:
                self.wfile.write(b" ")
            except OSError:
                return
            if self.server.ending.wait(DRIP_SECONDS):
                return

    def _send(self, status: int, answer: object, headers: dict[str, str] | None = None) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.answer(status, body, self.server.headers | (headers or {}))


@contextmanager
def wandb_server(*queues: str, lease_seconds: float = 60.0, flavour: Flavour = Flavour.MODERN) -> Iterator[WandbServer]:
    """A running server with these queues of entity ``me``."""
    with serving(WandbServer(queues or ("default",), lease_seconds, flavour)) as server:
        yield server
