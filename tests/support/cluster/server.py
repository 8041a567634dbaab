"""The API of the tests' own cluster, on a socket: requests, faults in place of answers, logs and watches in pieces."""

import json
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.cluster.objects import Key, Object, Objects, refusal
from tests.support.cluster.pods import Pods

_PATH = re.compile(
    r"/(?:api|apis)/(?P<version>[^/]+(?:/[^/]+)?)/namespaces/(?P<namespace>[^/]+)/(?P<plural>[^/]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<part>[^/]+))?$"
)
_NAMESPACES = "/api/v1/namespaces/"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
#: Watches end after this, in seconds, where they name nothing less.
_WATCH_SECONDS = 600.0


@dataclass
class Fault:
    """Answers ``times`` requests that match with an error in place of what they ask for."""

    method: str
    path: str
    status: int
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    #: The request is carried out, and its answer is lost.
    after: bool = False
    message: str = "the tests asked for it"


class Api(Objects):
    """What the API answers from, and what tests tell it to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.pods = Pods(self)
        self.faults: list[Fault] = []
        self.requests: Counter[str] = Counter()
        #: Each request: its method, its path, and whether it watches.
        self.asked: deque[tuple[str, str, bool]] = deque(maxlen=10_000)
        #: Pairs of a verb and a kind of object that it says it would refuse.
        self.denied: set[tuple[str, str]] = set()
        #: Namespaces that it says it does not have; it has all others.
        self.absent_namespaces: set[str] = set()
        #: What it remarks of all that is created, in headers.
        self.remarks: list[str] = []
        #: Kinds of custom resources by version: pairs of kind and plural.
        self.kinds: dict[str, list[tuple[str, str]]] = {}

    def fail(self, *faults: Fault) -> None:
        """Have requests fail."""
        with self.changed:
            self.faults.extend(faults)

    def _end_pod(self, key: Key, pod: Object, grace: float | None) -> None:
        self.pods.end(key, pod, grace)


class ApiServer(ThreadingHTTPServer):
    """Answers from ``cluster``, on a port of this machine."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, cluster: Api) -> None:
        self.cluster = cluster
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients leave in the middle of an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: Otherwise a body waits 40 ms until the client has acknowledged the headers.
    disable_nagle_algorithm = True
    server: ApiServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        cluster = self.server.cluster
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}") if length else {}
        watches = "watch" if query.get("watch") else "log" if url.path.endswith("/log") else "request"
        cluster.requests[watches] += 1
        fault = self._fault(url.path, query)
        if fault is not None and not fault.after:
            self._refuse(fault)
            return
        answer = self._route(url.path, query, body)
        if fault is not None:
            self._refuse(fault)
        elif answer is not None:
            self._send(*answer)

    def _fault(self, path: str, query: dict[str, str]) -> Fault | None:
        place = f"{path}?watch" if query.get("watch") else path
        for fault in self.server.cluster.faults:
            if fault.times and fault.method in (self.command, "*") and fault.path in place:
                fault.times -= 1
                return fault
        return None

    def _refuse(self, fault: Fault) -> None:
        if fault.status == 0:
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self._send(*refusal(fault.status, "Fault", fault.message), fault.headers)

    def _route(self, path: str, query: dict[str, str], body: Object) -> tuple[int, Object] | None:
        cluster = self.server.cluster
        cluster.asked.append((self.command, path, "watch" in query))
        match = _PATH.fullmatch(path)
        if match is None:
            return self._of_no_namespace(path, body)
        key, name = (match["namespace"], match["plural"]), match["name"]
        if match["part"] == "log":
            return self._send_log(name, query)
        if query.get("watch"):
            return self._send_watch(key, query)
        selector = query.get("labelSelector", "")
        match self.command:
            case "GET":
                limit, fields = int(query.get("limit", 0)), query.get("fieldSelector", "")
                return cluster.get(key, name) if name else cluster.list(key, selector, limit, fields)
            case "POST":
                return cluster.create(key, body)
            case "PATCH":
                return cluster.patch(key, name, body)
            case _:
                return cluster.delete(key, name, body) if name else cluster.delete_all(key, selector, body)

    def _of_no_namespace(self, path: str, body: Object) -> tuple[int, Object]:
        cluster, version = self.server.cluster, path.removeprefix("/apis/")
        if path == "/version":
            return 200, {"gitVersion": "v1.0-fake"}
        if path.startswith(_NAMESPACES):
            name = path.removeprefix(_NAMESPACES)
            is_absent = name in cluster.absent_namespaces
            return refusal(404, "NotFound", f'namespaces "{name}" not found') if is_absent else (200, {})
        if path == _REVIEWS:
            wanted = body["spec"]["resourceAttributes"]
            return 201, {"status": {"allowed": (wanted["verb"], wanted["resource"]) not in cluster.denied}}
        if version not in cluster.kinds:
            return refusal(404, "NotFound", "the server could not find the requested resource")
        kinds = [{"kind": kind, "name": plural, "namespaced": True} for kind, plural in cluster.kinds[version]]
        return 200, {"resources": kinds}

    def _send(self, status: int, answer: Object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        for remark in self.server.cluster.remarks if status == 201 else ():
            self.send_header("Warning", f"299 - {json.dumps(remark)}")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_log(self, name: str, query: dict[str, str]) -> tuple[int, Object] | None:
        if not self.server.cluster.pods.has_log(name):
            return refusal(404, "NotFound", f'pods "{name}" not found')
        self._send_pieces(self.server.cluster.pods.log(name, "follow" in query))
        return None

    def _send_watch(self, key: Key, query: dict[str, str]) -> None:
        seconds = min(float(query.get("timeoutSeconds", _WATCH_SECONDS)), _WATCH_SECONDS)
        version = int(query.get("resourceVersion") or 0)
        events = self.server.cluster.watch(key, query.get("labelSelector", ""), version, seconds)
        self._send_pieces(json.dumps(event).encode() + b"\n" for event in events)

    def _send_pieces(self, pieces: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
