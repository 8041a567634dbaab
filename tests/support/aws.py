"""AWS on loopback: moto on a real socket, with a stub in front for what it lacks of SageMaker.

moto keeps accounts, buckets, images, logs, and the descriptions of training jobs. The stub gives training jobs a life:
it refuses a name that was given before, runs the job's command as a process of this machine, brings what that writes
to CloudWatch, and answers to stops. Nothing is checked of signatures.
"""

import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.support.http_servers import LocalServer, QuietHandler, serving

REGION = "us-east-1"
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/training"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def environment(url: str) -> dict[str, str]:
    """Return the variables of an agent, or of the SDK, that is at this AWS and at no other."""
    return {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@dataclass
class TrainingJob:
    """A training job's life; its description is moto's."""

    name: str
    request: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    status: str = "InProgress"
    secondary: str = "Training"
    reason: str | None = None
    answers: dict[str, Any] = field(default_factory=dict)


class FakeAws(LocalServer):
    """The stub; ``faults`` are answers to be given instead, by operation, until each was given."""

    def __init__(self, moto: str) -> None:
        super().__init__(_Handler)
        self.moto = moto
        self.jobs: dict[str, TrainingJob] = {}
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[str, list[tuple[int, str, str]]] = {}
        self.lock = threading.RLock()
        self.runs_commands = True

    def client(self, service: str) -> Any:
        """Return a client of the SDK for what tests do themselves."""
        # Here, because every test session loads this module.
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.moto,
            region_name=REGION,
            aws_access_key_id="tests",
            aws_secret_access_key="none",
        )

    def fail(self, operation: str, status: int, code: str, message: str = "", times: int = 1) -> None:
        """Have the next requests for ``operation`` (``SageMaker.StopTrainingJob``) refused."""
        self.faults.setdefault(operation, []).extend([(status, code, message)] * times)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """Return the bodies of the requests for an operation so far."""
        return [body for name, body in self.requests if name == operation]

    def reset(self) -> None:
        """Forget everything, and end what runs."""
        with self.lock:
            for job in self.jobs.values():
                _end(job)
            self.jobs.clear()
            self.requests.clear()
            self.faults.clear()
            self.runs_commands = True
        requests.post(f"{self.moto}/moto-api/reset", timeout=60)

    def hang_up(self) -> None:
        for job in self.jobs.values():
            _end(job)

    # -- what SageMaker does

    def create(self, body: dict[str, Any]) -> tuple[int, str, str] | None:
        """Take a training job on; returns an error where the name is not free."""
        name = body["TrainingJobName"]
        with self.lock:
            if name in self.jobs:
                return 400, "ResourceInUse", "Training job names must be unique within an AWS account and region"
            self.jobs[name] = TrainingJob(name, body)
        return None

    def start(self, name: str) -> None:
        """Run the container's command, unless a test wants to say itself how the job is."""
        job = self.jobs[name]
        if not self.runs_commands:
            return
        algorithm = job.request["AlgorithmSpecification"]
        command = [*algorithm.get("ContainerEntrypoint", ["true"]), *algorithm.get("ContainerArguments", [])]
        job.process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], **job.request["Environment"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._watch, args=(job, job.process), daemon=True).start()

    def _watch(self, job: TrainingJob, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.write_log(job.name, [line.decode(errors="replace").rstrip("\n")])
        process.stdout.close()
        code = process.wait()
        with self.lock:
            if job.status == "Stopping":
                job.status = job.secondary = "Stopped"
            elif code == 0:
                job.status = job.secondary = "Completed"
            else:
                job.status = job.secondary = "Failed"
                job.reason = f"AlgorithmError: , exit code: {code}"

    def write_log(self, name: str, lines: list[str], host: str = "algo-1") -> None:
        """Bring lines of a job's container to CloudWatch."""
        logs = self.client("logs")
        stream = f"{name}/{host}-1700000000"
        for create, given in (
            (logs.create_log_group, {"logGroupName": LOG_GROUP}),
            (logs.create_log_stream, {"logGroupName": LOG_GROUP, "logStreamName": stream}),
        ):
            with suppress(logs.exceptions.ResourceAlreadyExistsException):
                create(**given)
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in lines]
        logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=stream, logEvents=events)
        logs.close()

    def stop(self, name: str) -> tuple[int, str, str] | None:
        """Stop a training job as SageMaker does; returns an error where there is nothing to stop."""
        with self.lock:
            job = self.jobs.get(name)
            if job is None:
                return 400, "ValidationException", "Requested resource not found."
            if job.status != "InProgress":
                return 400, "ValidationException", f"The training job is in status {job.status}."
            job.status = job.secondary = "Stopping"
            if job.process is None:
                job.status = job.secondary = "Stopped"
            else:
                os.killpg(job.process.pid, signal.SIGTERM)
        return None

    def life(self, name: str) -> dict[str, Any] | None:
        """Return what a description says of the job's life; None where there is no such job."""
        with self.lock:
            job = self.jobs.get(name)
            if job is None:
                return None
            told: dict[str, Any] = {
                "TrainingJobStatus": job.status,
                "SecondaryStatus": job.secondary,
                "Environment": job.request.get("Environment", {}),
                **job.answers,
            }
            return told | ({"FailureReason": job.reason} if job.reason else {})


def _end(job: TrainingJob) -> None:
    process = job.process
    if process is not None and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _Handler(QuietHandler):
    """Answers for SageMaker's training jobs, and passes all else on to moto."""

    server: FakeAws

    def _serve(self) -> None:
        data = self._body()
        operation = self.headers.get("X-Amz-Target", "") or _query_action(data)
        body = _json(data)
        with self.server.lock:
            self.server.requests.append((operation, body))
            fault = self.server.faults.get(operation)
            refused = fault.pop(0) if fault else None
        if refused is None:
            refused = self._change(operation, body)
        if refused is not None:
            self._refuse(*refused)
            return
        if operation == "SageMaker.StopTrainingJob":
            self.answer(200, b"")
            return
        answer = self._pass_on(data)
        if operation == "SageMaker.CreateTrainingJob":
            self.server.start(body["TrainingJobName"])
        content = answer.content
        if operation == "SageMaker.DescribeTrainingJob" and answer.status_code == 200:
            # In moto each training job is over when it begins.
            plain = {name: value for name, value in answer.json().items() if name != "TrainingStartTime"}
            told = {**plain, **(self.server.life(body["TrainingJobName"]) or {})}
            content = json.dumps(told).encode()
        kept = ("content-type", "etag", "x-amzn-requestid", "location", "x-amzn-errortype")
        headers = {name: value for name, value in answer.headers.items() if name.lower() in kept}
        self._send(answer.status_code, content, headers)

    def _change(self, operation: str, body: dict[str, Any]) -> tuple[int, str, str] | None:
        match operation:
            case "SageMaker.CreateTrainingJob":
                return self.server.create(body)
            case "SageMaker.StopTrainingJob":
                return self.server.stop(body["TrainingJobName"])
            case "SageMaker.DescribeTrainingJob" if body["TrainingJobName"] not in self.server.jobs:
                return 400, "ValidationException", "Requested resource not found."
        return None

    def _refuse(self, status: int, code: str, message: str) -> None:
        if "X-Amz-Target" not in self.headers:
            error = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
            self._send(status, error.encode(), {"Content-Type": "text/xml"})
            return
        body = json.dumps({"__type": code, "message": message}).encode()
        self._send(status, body, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": code})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _pass_on(self, data: bytes) -> requests.Response:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        return requests.request(
            self.command, self.server.moto + self.path, headers=headers, data=data, timeout=20, allow_redirects=False
        )

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _serve  # noqa: N815


def _json(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _query_action(data: bytes) -> str:
    """Return the action of a service that takes forms, such as STS."""
    for pair in data[:4096].split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == b"Action":
            return value.decode(errors="replace")
    return ""


def arguments(**more: Any) -> dict[str, Any]:
    """Return the resource args of a job on SageMaker that has what every job needs."""
    return {
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        **more,
    }


@contextmanager
def fake_aws() -> Iterator[FakeAws]:
    """Run this AWS while the block lasts."""
    # Here, because it takes seconds to import.
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        with serving(FakeAws(f"http://{host}:{port}")) as server:
            yield server
    finally:
        moto.stop()
