"""Jobs for the runners under test: made in a directory, started here or in a worker's own process."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil

from ipc.directories import PASSABLE
from ipc.handles import Handle
from ipc.job_files import OUTPUT_FILE
from ipc.policy_rules import ContainerRules, KubernetesRules, PolicyRules, SagemakerRules
from ipc.run_spec import RunSpec
from ipc.settings import DockerConfig, EnvironmentConfig, JobsConfig, KubernetesConfig, VertexConfig
from ipc.states import TERMINAL_STATES
from ipc.targets import LOCAL_CONTAINER
from ipc.work_order import JobUser, WorkOrder, write_order
from launchd.agent.output_reader import OutputReader
from tests.support.engine import BASE_IMAGE
from tests.support.processes import children_of
from tests.support.waiting import wait_until
from workers.builders import Build
from workers.runners import LaunchRequest, Runner, Status, create_runner

#: Of this process alone: a lost job is looked for by its name on the whole host, where other tests may run.
NAME = f"launchd-{secrets.token_hex(8)}-1"
ROOT = Path(__file__).parents[3]


@dataclass
class Job:
    """One job of one runner, as successive workers meet it."""

    directory: Path
    resource: str = "local-process"
    command: tuple[str, ...] = ("true",)
    knobs: dict[str, Any] = field(default_factory=dict)
    jobs: JobsConfig = field(default_factory=lambda: JobsConfig(stop_grace_seconds=5.0))
    user: JobUser | None = None
    engine: str | None = None
    containers: ContainerRules = field(default_factory=ContainerRules)
    image: str | None = None
    kubernetes: KubernetesConfig = field(default_factory=KubernetesConfig)
    cluster_rules: KubernetesRules = field(default_factory=KubernetesRules)
    vertex: VertexConfig = field(default_factory=VertexConfig)
    environment: EnvironmentConfig | None = None
    sagemaker: SagemakerRules = field(default_factory=SagemakerRules)

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        if self.user is not None:
            os.chown(self.work, self.user.uid, self.user.gid)
            self.directory.chmod(PASSABLE)

    @property
    def work(self) -> Path:
        return self.directory / "work"

    @property
    def order(self) -> WorkOrder:
        arguments = {self.resource: self.knobs}
        spec = RunSpec("entity", "project", "run", self.resource, resource_args=arguments)
        return WorkOrder(
            name=NAME,
            item_id="item",
            queue="queue",
            entity="entity",
            attempt=1,
            base_url="http://localhost",
            spec=spec,
            directory=str(self.directory),
            jobs=self.jobs,
            user=self.user,
            docker=DockerConfig(host=self.engine),
            kubernetes=self.kubernetes,
            vertex=self.vertex,
            environment=self.environment,
            policy=PolicyRules(containers=self.containers, kubernetes=self.cluster_rules, sagemaker=self.sagemaker),
        )

    @property
    def launch(self) -> LaunchRequest:
        environment = {
            "LAUNCHD_JOB_NAME": NAME,
            "LAUNCHD_TEST_SESSION": os.environ.get("LAUNCHD_TEST_SESSION", ""),
        }
        return LaunchRequest(NAME, self.command, environment, self.work, Build(image=self.image))

    def runner(self) -> Runner:
        """Return a runner as a new worker would make it."""
        return create_runner(self.order, ())

    def submit(self) -> tuple[Runner, Handle]:
        """Start the job from this process."""
        runner = self.runner()
        runner.prepare()
        runner.validate()
        return runner, runner.submit(self.launch)

    def submit_in_worker(
        self, mode: str = "submit", failpoints: str = "", once: Path | None = None, answer_timeout: float = 20.0
    ) -> "WorkerProcess":
        """Start the job from a process that can be killed; see :mod:`tests.contract.runners.worker_process`."""
        write_order(self.order)
        (self.directory / "launch.json").write_bytes(msgspec.json.encode(self.launch, enc_hook=str))
        environment = {"LAUNCHD_FAILPOINTS": failpoints, "TEST_ANSWER_TIMEOUT": str(answer_timeout)}
        if once is not None:
            environment["LAUNCHD_FAILPOINTS_ONCE"] = str(once)
        return WorkerProcess(self, mode, environment)

    def run(self) -> Status:
        """Run the job to its end."""
        runner, handle = self.submit()
        return wait_for_end(runner, handle)

    def text(self) -> str:
        """Return the job's output."""
        return self.output().decode(errors="replace")

    def output(self) -> bytes:
        """Return what is kept of the job's output, from its files."""
        reader = OutputReader(self.directory / OUTPUT_FILE)
        try:
            return b"".join(reader.read())
        finally:
            reader.close()


class WorkerProcess:
    """A process that submits a job as a worker does, says so, and waits to be killed."""

    def __init__(self, job: Job, mode: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.runners.worker_process", str(job.directory), mode],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for_word(self) -> dict[str, Any]:
        """Return what the worker has to say: ``{"done": ...}``."""
        assert self._process.stdout is not None
        word: dict[str, Any] = json.loads(self._process.stdout.readline() or "{}")
        return word

    def forked(self) -> list[psutil.Process]:
        """Return what the worker has forked and still lives."""
        return children_of(self._process.pid, all_below=True)

    def kill(self) -> None:
        """End the worker as the kernel would in want of memory."""
        self._process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        code = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        return code


def container_jobs(directory: Path, engine: str, **usual: Any) -> Callable[..., Job]:
    """Return what makes jobs of a shell script at the engine with this address; ``usual`` are flags of all of them."""

    def make(
        script: str,
        rules: ContainerRules | None = None,
        user: JobUser | None = None,
        image: str = BASE_IMAGE,
        **args: Any,
    ) -> Job:
        return Job(
            directory / "state" / "jobs" / NAME,
            resource=LOCAL_CONTAINER,
            command=("sh", "-c", script),
            engine=engine,
            containers=rules or ContainerRules(),
            image=image,
            user=user,
            knobs={**usual, **args},
        )

    return make


def wait_for_end(runner: Runner, handle: Handle, timeout: float = 20.0) -> Status:
    """Return the job's terminal status."""

    def ended() -> Status | None:
        status = runner.inspect(handle)
        return status if status.state in TERMINAL_STATES else None

    status = wait_until(ended, timeout, what="the end of the job")
    assert status is not None
    return status
