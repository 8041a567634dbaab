"""A Kubernetes API of the tests' own, on a socket of this machine, whose pods are processes of this machine.

It keeps Jobs, pods, Secrets and custom resources in memory, runs the command of the first container of each Job's pod,
serves logs and watches, and does as a Job's controller and the garbage collector do. It can be told to fail. It is for
what a cluster of one node cannot show, and for machines that have none.
"""

import base64
import json
import os
import re
import signal
import subprocess
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]

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


class FakeKubernetes:
    """The cluster. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Condition(threading.RLock())
        self._version = 100
        self._objects: dict[tuple[str, str], dict[str, Object]] = {}
        self._events: list[tuple[int, tuple[str, str], str, Object]] = []
        self._oldest = 0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: dict[str, list[bytes]] = {}
        self.faults: list[Fault] = []
        self.requests: Counter[str] = Counter()
        #: Each request: its method, its path, and whether it watches.
        self.asked: deque[tuple[str, str, bool]] = deque(maxlen=10_000)
        #: Pairs of a verb and a kind of object that it says it would refuse.
        self.denied: set[tuple[str, str]] = set()
        #: Namespaces that it says it does not have; it has all others.
        self.absent_namespaces: set[str] = set()
        self.created: Counter[str] = Counter()
        #: Kinds of custom resources by version: pairs of kind and plural.
        self.kinds: dict[str, list[tuple[str, str]]] = {}
        self.runs_pods = True
        #: Pods that are no process: they run and say nothing, until they are taken from here.
        self.silent: set[str] = set()
        self._server = _Server(self)
        self._is_closed = False
        self._breaks = 0

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def write_config(self, path: Path, namespace: str = "default") -> Path:
        """Write a kubeconfig for it."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.address}}],
            "users": [{"name": "tests", "user": {"token": "secret-token"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "tests", "namespace": namespace}}],
            "current-context": "fake",
        }
        path.write_text(json.dumps(config))
        return path

    def start(self) -> None:
        """Answer from now on."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="fake kubernetes", daemon=True).start()

    def close(self) -> None:
        """Answer no more, and end all pods."""
        for process in list(self._processes.values()):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        with self._lock:
            self._is_closed = True
            self._lock.notify_all()
        self._server.shutdown()
        self._server.server_close()

    # -- what tests ask and do

    def objects(self, plural: str, namespace: str = "default") -> list[Object]:
        """Return all objects of a kind."""
        with self._lock:
            return [json.loads(json.dumps(one)) for one in self._objects.get((namespace, plural), {}).values()]

    def change(self, plural: str, name: str, change: Callable[[Object], None], namespace: str = "default") -> None:
        """Change an object, as a controller does."""
        with self._lock:
            one = self._objects[(namespace, plural)][name]
            change(one)
            self._touch((namespace, plural), one, "MODIFIED")

    def remove(self, plural: str, name: str, namespace: str = "default") -> None:
        """Remove an object at once."""
        with self._lock:
            self._remove((namespace, plural), name)

    def forget_events(self) -> None:
        """Forget all events, so that a watch cannot go on where it was."""
        with self._lock:
            self._oldest = self._version
            self._events.clear()
            self._lock.notify_all()

    def break_watches(self) -> None:
        """Break off all watches, as a proxy that is restarted does."""
        with self._lock:
            self._breaks += 1
            self._lock.notify_all()

    def fail(self, *faults: Fault) -> None:
        """Have requests fail."""
        with self._lock:
            self.faults.extend(faults)

    # -- objects

    def create(self, key: tuple[str, str], body: Object) -> tuple[int, Object]:
        with self._lock:
            name = body["metadata"]["name"]
            if name in self._objects.setdefault(key, {}):
                return _status(409, "AlreadyExists", f'{key[1]} "{name}" already exists')
            metadata = body["metadata"]
            metadata |= {"namespace": key[0], "uid": str(uuid.uuid4()), "creationTimestamp": _now()}
            _encode_secret(body)
            self._objects[key][name] = body
            self._touch(key, body, "ADDED")
            self.created[f"{key[1]}/{name}"] += 1
        if key[1] == "jobs" and self.runs_pods and not body["spec"].get("suspend"):
            self.run_job(body)
        return 201, body

    def patch(self, key: tuple[str, str], name: str, body: Object) -> tuple[int, Object]:
        with self._lock:
            one = self._objects.get(key, {}).get(name)
            if one is None:
                return _status(404, "NotFound", f'{key[1]} "{name}" not found')
            _merge(one, body)
            _encode_secret(one)
            self._touch(key, one, "MODIFIED")
            return 200, one

    def get(self, key: tuple[str, str], name: str) -> tuple[int, Object]:
        with self._lock:
            one = self._objects.get(key, {}).get(name)
            return (200, one) if one is not None else _status(404, "NotFound", f'{key[1]} "{name}" not found')

    def list(self, key: tuple[str, str], selector: str, limit: int = 0, fields: str = "") -> tuple[int, Object]:
        with self._lock:
            items = [one for one in self._objects.get(key, {}).values() if _is_selected(one, selector)]
            items = [one for one in items if not fields or _is_about(one, fields)]
            items = items[: limit or None]
            return 200, {"kind": "List", "metadata": {"resourceVersion": str(self._version)}, "items": items}

    def delete(self, key: tuple[str, str], name: str, options: Object) -> tuple[int, Object]:
        with self._lock:
            one = self._objects.get(key, {}).get(name)
            if one is None:
                return _status(404, "NotFound", f'{key[1]} "{name}" not found')
            wanted = (options.get("preconditions") or {}).get("uid")
            if wanted not in (None, one["metadata"]["uid"]):
                return _status(409, "Conflict", "the UID in the precondition is another one")
            if key[1] == "pods":
                self._end_pod(key, one, options.get("gracePeriodSeconds"))
            elif options.get("propagationPolicy") == "Foreground" and self._dependents(one):
                one["metadata"]["deletionTimestamp"] = _now()
                self._touch(key, one, "MODIFIED")
                for pod in self._dependents(one):
                    self._end_pod((key[0], "pods"), pod, None)
            else:
                self._remove(key, name)
        return 200, {"kind": "Status", "status": "Success"}

    def delete_all(self, key: tuple[str, str], selector: str, options: Object) -> tuple[int, Object]:
        for one in self.list(key, selector)[1]["items"]:
            self.delete(key, one["metadata"]["name"], options)
        return 200, {"kind": "Status", "status": "Success"}

    def _dependents(self, owner: Object) -> "list[Object]":
        pods = self._objects.get((owner["metadata"]["namespace"], "pods"), {})
        return [pod for pod in pods.values() if _is_owned(pod, owner)]

    def _remove(self, key: tuple[str, str], name: str) -> None:
        one = self._objects.get(key, {}).pop(name, None)
        if one is None:
            return
        self._touch(key, one, "DELETED")
        for plural in ("pods", "secrets"):
            place = (key[0], plural)
            for other in [other for other in self._objects.get(place, {}).values() if _is_owned(other, one)]:
                if plural == "pods":
                    self._end_pod(place, other, None)
                else:
                    self._remove(place, other["metadata"]["name"])
        self._finish_deletion(key[0], one)

    def _finish_deletion(self, namespace: str, gone: Object) -> None:
        """Remove what waited in the foreground for its last dependent."""
        for (place, plural), objects in list(self._objects.items()):
            if place != namespace:
                continue
            for one in list(objects.values()):
                is_waiting = "deletionTimestamp" in one["metadata"] and plural != "pods" and _is_owned(gone, one)
                if is_waiting and not self._dependents(one):
                    self._remove((place, plural), one["metadata"]["name"])

    def _touch(self, key: tuple[str, str], one: Object, kind: str) -> None:
        self._version += 1
        one["metadata"]["resourceVersion"] = str(self._version)
        self._events.append((self._version, key, kind, json.loads(json.dumps(one))))
        self._lock.notify_all()

    # -- pods

    def run_job(self, job: Object) -> None:
        """Make the pod of a Job and run it."""
        metadata = job["metadata"]
        key, name = (metadata["namespace"], "pods"), f"{metadata['name']}-{uuid.uuid4().hex[:5]}"
        template = json.loads(json.dumps(job["spec"]["template"]))
        labels = {**(template.get("metadata") or {}).get("labels", {}), "job-name": metadata["name"]}
        owner = {"kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
        pod = {"metadata": {"name": name, "labels": labels, "ownerReferences": [owner]}, "spec": template["spec"]}
        pod["status"] = {"phase": "Pending"}
        self.create(key, pod)
        threading.Thread(target=self._run_pod, args=(key, name, pod, metadata["name"]), daemon=True).start()

    def _run_pod(self, key: tuple[str, str], name: str, pod: Object, job: str) -> None:
        container = pod["spec"]["containers"][0]
        environment = {one["name"]: self._value(key[0], one) for one in container.get("env") or ()}
        process = subprocess.Popen(
            [*container.get("command", ["true"]), *container.get("args", ())],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log = self._logs.setdefault(name, [])
        with self._lock:
            self._processes[name] = process
        self._set_pod(key, name, "Running", {"running": {"startedAt": _now()}}, container)
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self._lock:
                    log.append(_stamp().encode() + b" " + line)
                    self._lock.notify_all()
        code = process.wait()
        with self._lock:
            self._processes.pop(name, None)
        phase = "Succeeded" if code == 0 else "Failed"
        exit_code = code if code >= 0 else 128 - code
        ended = {"terminated": {"exitCode": exit_code, "reason": "Completed" if code == 0 else "Error"}}
        self._set_pod(key, name, phase, ended, container)
        self._end_job(key[0], job, is_complete=code == 0)
        with self._lock:
            one = self._objects.get(key, {}).get(name)
            if one is not None and "deletionTimestamp" in one["metadata"]:
                self._remove(key, name)

    def _value(self, namespace: str, variable: Object) -> str:
        source = variable.get("valueFrom")
        if source is None:
            return str(variable.get("value", ""))
        reference = source["secretKeyRef"]
        secret = self._objects[(namespace, "secrets")][reference["name"]]
        return base64.b64decode(secret["data"][reference["key"]]).decode()

    def _set_pod(self, key: tuple[str, str], name: str, phase: str, state: Object, container: Object) -> None:
        with self._lock:
            one = self._objects.get(key, {}).get(name)
            if one is None:
                return
            containers = [{"name": container["name"], "state": state, "restartCount": 0}]
            one["status"] = {**one["status"], "phase": phase, "containerStatuses": containers}
            self._touch(key, one, "MODIFIED")

    def _end_job(self, namespace: str, name: str, *, is_complete: bool) -> None:
        with self._lock:
            job = self._objects.get((namespace, "jobs"), {}).get(name)
            if job is None:
                return
            kind = "Complete" if is_complete else "Failed"
            reason = {} if is_complete else {"reason": "BackoffLimitExceeded"}
            job["status"] = {"conditions": [{"type": kind, "status": "True", **reason}]}
            self._touch((namespace, "jobs"), job, "MODIFIED")

    def _end_pod(self, key: tuple[str, str], pod: Object, grace: float | None) -> None:
        name = pod["metadata"]["name"]
        process = self._processes.get(name)
        if process is None:
            self._remove(key, name)
            return
        pod["metadata"]["deletionTimestamp"] = _now()
        self._touch(key, pod, "MODIFIED")
        seconds = 30.0 if grace is None else float(grace)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM if seconds else signal.SIGKILL)
        timer = threading.Timer(seconds, lambda: _kill(process))
        timer.daemon = True
        timer.start()

    def log(self, name: str, follow: bool) -> Iterator[bytes]:
        """Yield the entries of a pod's log."""
        position = 0
        while True:
            with self._lock:
                entries = self._logs.get(name, [])[position:]
                is_over = name not in self._processes and name not in self.silent
                if not entries and follow and not is_over:
                    self._lock.wait(5.0 if name in self.silent else 0.2)
                    continue
            yield from entries
            position += len(entries)
            if is_over or not follow:
                return

    def watch(self, key: tuple[str, str], selector: str, version: int, seconds: float) -> Iterator[Object]:
        """Yield events since ``version``."""
        deadline = time.monotonic() + seconds
        if not version:
            with self._lock:
                version = self._version
                existing = self.list(key, selector)[1]["items"]
            yield from ({"type": "ADDED", "object": one} for one in existing)
        breaks = self._breaks
        while time.monotonic() < deadline and not self._is_closed:
            with self._lock:
                if breaks != self._breaks:
                    raise BrokenPipeError
                if version < self._oldest:
                    yield {"type": "ERROR", "object": _status(410, "Expired", "too old resource version")[1]}
                    return
                fresh = [event for event in self._events if event[0] > version]
                if not fresh:
                    self._lock.wait(min(0.5, max(0.0, deadline - time.monotonic())))
                    continue
            for number, place, kind, one in fresh:
                version = number
                if place == key and _is_selected(one, selector):
                    yield {"type": kind, "object": one}
        yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, cluster: FakeKubernetes) -> None:
        self.cluster = cluster
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients leave in the middle of an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

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
        self._send(*_status(fault.status, "Fault", fault.message), fault.headers)

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
            return _status(404, "NotFound", f'namespaces "{name}" not found') if is_absent else (200, {})
        if path == _REVIEWS:
            wanted = body["spec"]["resourceAttributes"]
            return 201, {"status": {"allowed": (wanted["verb"], wanted["resource"]) not in cluster.denied}}
        if version not in cluster.kinds:
            return _status(404, "NotFound", "the server could not find the requested resource")
        kinds = [{"kind": kind, "name": plural, "namespaced": True} for kind, plural in cluster.kinds[version]]
        return 200, {"resources": kinds}

    def _send(self, status: int, answer: Object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_log(self, name: str, query: dict[str, str]) -> tuple[int, Object] | None:
        if name not in self.server.cluster._logs and name not in self.server.cluster.silent:
            return _status(404, "NotFound", f'pods "{name}" not found')
        self._send_pieces(self.server.cluster.log(name, "follow" in query))
        return None

    def _send_watch(self, key: tuple[str, str], query: dict[str, str]) -> None:
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


@contextmanager
def fake_kubernetes() -> Iterator[FakeKubernetes]:
    """Give a cluster of the tests' own."""
    cluster = FakeKubernetes()
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.close()


def _status(code: int, reason: str, message: str) -> tuple[int, Object]:
    return code, {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}


def _is_selected(one: Object, selector: str) -> bool:
    labels = one["metadata"].get("labels") or {}
    return all(labels.get(part.split("=")[0]) == part.split("=")[-1] for part in selector.split(",") if part)


def _is_about(event: Object, fields: str) -> bool:
    """Return whether an event is about the object that a field selector names; it knows of no other."""
    return fields == f"involvedObject.uid={event['involvedObject']['uid']}"


def _is_owned(one: Object, owner: Object) -> bool:
    uid = owner["metadata"]["uid"]
    return any(reference["uid"] == uid for reference in one["metadata"].get("ownerReferences") or ())


def _encode_secret(body: Object) -> None:
    for name, text in body.pop("stringData", {}).items():
        body.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()


def _merge(one: Object, change: Object) -> None:
    for key, value in change.items():
        if isinstance(value, dict):
            _merge(one.setdefault(key, {}), value)
        else:
            one[key] = value


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _stamp() -> str:
    now = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"
