"""Google Cloud as far as agents see it, on a socket: tokens, custom jobs with their logs, and objects of storage.

No emulator of Vertex AI exists, so that this is written after its reference and after what its client sends. Nothing
runs: what a job does follows from the clock, and from variables of its container (:class:`FakeJob`).
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ipc.settings import EnvironmentConfig, VertexConfig
from tests.support.http_servers import LocalServer, QuietHandler, serving

PROJECT, REGION = "team-project", "us-central1"
CUSTOM_JOBS = f"/v1/projects/{PROJECT}/locations/{REGION}/customJobs"

#: Seconds until it runs, then until it ends; the exit code of its process; what the process writes.
PENDING, SECONDS, EXIT_CODE, OUTPUT = "FAKE_PENDING", "FAKE_SECONDS", "FAKE_EXIT_CODE", "FAKE_OUTPUT"

#: Faults beside statuses of HTTP: what was asked for is done, and not answered; or neither done nor answered.
DONE_UNANSWERED, UNANSWERED = "done, unanswered", "unanswered"

_FILTER = re.compile(r'labels\.(?P<label>[a-z-]+)="(?P<value>[^"]*)"')
_LOG_FILTER = re.compile(r'resource\.labels\.job_id="(?P<number>\d+)"(?: AND timestamp>="(?P<since>[^"]+)")?$')


@dataclass
class FakeJob:
    """One custom job, as it was asked for."""

    number: int
    request: dict[str, Any]
    created: float = field(default_factory=time.time)
    cancelled: float | None = None
    #: A state to be in, whatever the clock says.
    forced: str | None = None
    error: str | None = None

    @property
    def container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.request["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
        return found

    @property
    def variables(self) -> dict[str, str]:
        return {one["name"]: one["value"] for one in self.container.get("env", ())}

    @property
    def started(self) -> float:
        return self.created + float(self.variables.get(PENDING, 0))

    @property
    def state(self) -> str:
        ends = self.started + float(self.variables.get(SECONDS, 0))
        if self.forced is not None:
            return self.forced
        if self.cancelled is not None and self.cancelled < ends:
            return "JOB_STATE_CANCELLED"
        if time.time() < self.started:
            return "JOB_STATE_PENDING"
        if time.time() < ends:
            return "JOB_STATE_RUNNING"
        return "JOB_STATE_SUCCEEDED" if self._exit_code == 0 else "JOB_STATE_FAILED"

    @property
    def _exit_code(self) -> int:
        return int(self.variables.get(EXIT_CODE, 0))

    def answer(self) -> dict[str, Any]:
        """Return it as the API does."""
        state = self.state
        found = {
            **self.request,
            "name": f"{CUSTOM_JOBS[4:]}/{self.number}",
            "state": state,
            "createTime": _time(self.created),
        }
        if state not in ("JOB_STATE_PENDING", "JOB_STATE_QUEUED"):
            found["startTime"] = _time(self.started)
        if state == "JOB_STATE_FAILED":
            said = self.error or f"The replica workerpool0-0 exited with a non-zero status of {self._exit_code}."
            found["error"] = {"code": 3, "message": said}
        return found

    def entries(self) -> list[dict[str, Any]]:
        """Return its log, each line an entry."""
        if self.state == "JOB_STATE_PENDING":
            return []
        lines = self.variables.get(OUTPUT, "started").split("\n")
        return [entry(self.number, index, self.started + index / 1000, line) for index, line in enumerate(lines)]


def entry(number: int, index: int, moment: float, text: str, task: str = "workerpool0-0") -> dict[str, Any]:
    """Return an entry of a job's log."""
    labels = {"job_id": str(number), "task_name": task}
    return {
        "insertId": f"entry-{number}-{index}",
        "timestamp": _time(moment),
        "jsonPayload": {"message": text},
        "resource": {"type": "ml_job", "labels": labels},
    }


class GoogleCloud(LocalServer):
    """The server. ``faults`` are used up one by one, by what is asked for: ``create``, ``list``, ``get``, ``cancel``,
    ``logs``, ``token``, ``upload``.
    """

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.lock = threading.Lock()
        self.jobs: list[FakeJob] = []
        self.more_entries: list[dict[str, Any]] = []
        self.faults: dict[str, list[int | str]] = {}
        self.asked: list[str] = []
        self.objects: dict[str, bytes] = {}
        self.tokens = 0
        self.valid_tokens: set[str] = set()
        #: Where each creation is noted as a line.
        self.starts_file: Path | None = None
        self.over = threading.Event()

    def hang_up(self) -> None:
        self.over.set()

    @property
    def settings(self) -> VertexConfig:
        return VertexConfig(self.url, self.url, poll_seconds=0.1, log_poll_seconds=0.1, timeout_seconds=5.0)

    @property
    def environment(self) -> EnvironmentConfig:
        return EnvironmentConfig("gcp", REGION, PROJECT)

    def write_credentials(self, directory: Path) -> Path:
        """Write a file for ``GOOGLE_APPLICATION_CREDENTIALS``: an identity of elsewhere, exchanged for tokens here."""
        subject = directory / "subject-token"
        subject.write_text("the identity of this pod")
        path = directory / "credentials.json"
        # With a number of a project in it, that would be asked about at an address of Google alone.
        audience = "//iam.googleapis.com/locations/global/workforcePools/pool/providers/provider"
        given = {
            "type": "external_account",
            "audience": audience,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.url}/token",
            "credential_source": {"file": str(subject)},
        }
        path.write_text(json.dumps(given))
        return path

    def expire_token(self) -> None:
        """Have the tokens that were given out refused from now on."""
        self.valid_tokens.clear()

    @property
    def last_token(self) -> str:
        return f"token-{self.tokens}"

    def take_fault(self, kind: str) -> int | str | None:
        with self.lock:
            left = self.faults.get(kind)
            return left.pop(0) if left else None

    def job(self, number: str) -> FakeJob | None:
        return next((job for job in self.jobs if job.number == int(number)), None)

    def create(self, request: dict[str, Any]) -> FakeJob:
        with self.lock:
            job = FakeJob(1000 + len(self.jobs), request)
            self.jobs.append(job)
            if self.starts_file is not None:
                with self.starts_file.open("a") as file:
                    file.write("started\n")
        return job


class _Handler(QuietHandler):
    server: GoogleCloud

    def do_GET(self) -> None:  # noqa: N802 - the name in the standard library
        place = urlsplit(self.path)
        if place.path == CUSTOM_JOBS:
            self._do("list", lambda: self._list(parse_qs(place.query)))
        else:
            self._do("get", lambda: self._get(place.path.rpartition("/")[2]))

    def do_POST(self) -> None:  # noqa: N802 - the name in the standard library
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path == "/token":
            self._do("token", self._token, is_open=True)
        elif path == CUSTOM_JOBS:
            self._do("create", lambda: (200, self.server.create(json.loads(body)).answer()))
        elif path.startswith("/upload/storage/v1/b/"):
            self._do("upload", lambda: self._upload(path.split("/")[5], body))
        elif path == "/v2/entries:list":
            self._do("logs", lambda: self._logs(json.loads(body)))
        else:
            self._do("cancel", lambda: self._cancel(path.rpartition("/")[2].removesuffix(":cancel")))

    def _do(self, kind: str, act: Any, *, is_open: bool = False) -> None:
        self.server.asked.append(kind)
        if (
            not is_open
            and self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.server.valid_tokens
        ):
            self._say(401, _error(401, "Request had invalid authentication credentials."))
            return
        match self.server.take_fault(kind):
            case int(status):
                self._say(status, _error(status, "The fake was told to fail."))
            case str(fault):
                if fault == DONE_UNANSWERED:
                    act()
                self.close_connection = True
            case _:
                self._say(*act())

    def _say(self, status: int, answer: Any) -> None:
        self.answer(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _token(self) -> tuple[int, Any]:
        with self.server.lock:
            self.server.tokens += 1
            self.server.valid_tokens.add(self.server.last_token)
        answer = {
            "access_token": self.server.last_token,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": 3600,
        }
        return 200, answer

    def _list(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        match = _FILTER.fullmatch(unquote(query["filter"][0]))
        assert match is not None, query
        found = [job for job in self.server.jobs if job.request.get("labels", {}).get(match["label"]) == match["value"]]
        return 200, {"customJobs": [job.answer() for job in found]}

    def _get(self, number: str) -> tuple[int, Any]:
        job = self.server.job(number)
        return (404, _error(404, "The job does not exist.")) if job is None else (200, job.answer())

    def _cancel(self, number: str) -> tuple[int, Any]:
        job = self.server.job(number)
        if job is None:
            return 404, _error(404, "The job does not exist.")
        if job.state in ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED"):
            return 400, _error(400, "The job has ended.", "FAILED_PRECONDITION")
        job.cancelled = job.cancelled or time.time()
        return 200, {}

    def _upload(self, bucket: str, body: bytes) -> tuple[int, Any]:
        """Keep an object: its metadata and its content are the parts of a body in the form of MIME."""
        boundary = body.partition(b"\r\n")[0]
        _, metadata, content, _ = body.split(boundary)
        name = json.loads(metadata.partition(b"\r\n\r\n")[2])["name"]
        self.server.objects[f"{bucket}/{name}"] = content.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        return 200, {"kind": "storage#object", "name": name, "bucket": bucket}

    def _logs(self, asked: dict[str, Any]) -> tuple[int, Any]:
        match = _LOG_FILTER.search(asked["filter"])
        assert match is not None, asked
        number, since = match["number"], match["since"] or ""
        job = self.server.job(number)
        found = [*(job.entries() if job else ()), *self.server.more_entries]
        mine = [one for one in found if one["resource"]["labels"]["job_id"] == number and one["timestamp"] >= since]
        mine.sort(key=lambda one: one["timestamp"])
        start, size = int(asked.get("pageToken") or 0), asked["pageSize"]
        more = {"nextPageToken": str(start + size)} if start + size < len(mine) else {}
        return 200, {"entries": mine[start : start + size], **more}


def _error(code: int, message: str, status: str = "UNKNOWN") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status}}


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@contextmanager
def google_cloud() -> Iterator[GoogleCloud]:
    """Run a server while the block lasts."""
    with serving(GoogleCloud()) as server:
        yield server


def job_args(
    seconds: float = 0, exit_code: int = 0, *, pending: float = 0, output: str = "started", **run: Any
) -> dict[str, Any]:
    """Return ``resource_args.vertex`` of a job that does so."""
    knobs = {PENDING: pending, SECONDS: seconds, EXIT_CODE: exit_code, OUTPUT: output}
    env = [{"name": name, "value": str(value)} for name, value in knobs.items()]
    pool = {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": "${image_uri}", "env": env},
    }
    return {"spec": {"worker_pool_specs": [pool], "staging_bucket": "gs://team-bucket"}, "run": run}
