"""The queue server and the agent of `launchd up`: their order of start and stop, restarts, configuration and port."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import yaml

from ipc.targets import LOCAL_CONTAINER, LOCAL_PROCESS
from launchd.agent.control.client import ControlError, ask
from launchd.api.sources import DEFAULT_QUEUE
from launchd.cli.child_process import ChildProcess, Signals
from launchd.cli.database_url import VARIABLE
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import QueueServer
from launchd.local.container_engine import why_no_containers
from launchd.local.instance import InstanceNotRunning, LocalInstance

HOST = "127.0.0.1"

START_SECONDS = 30.0
POLL_SECONDS = 0.05
CHECK_SECONDS = 1.0
AGENT_STOP_SECONDS, SERVER_STOP_SECONDS = 20.0, 5.0

#: Variables that would override the configuration written for the agent.
_REMOVED_VARIABLES = (
    "WANDB_API_KEY",
    "WANDB_BASE_URL",
    "WANDB_ENTITY",
    "WANDB_LAUNCH_MAX_JOBS",
    "LAUNCHD_CONFIG",
    VARIABLE,
)

_CONFIG_HEAD = "# Written by `launchd up` at each start; what is changed here is lost.\n"


class LocalStack:
    """One queue server and one agent. ``port`` ``None``: the last one, if it is free.

    ``without_containers`` says, once they are started, why the agent runs no containers; None where it does.
    """

    def __init__(self, instance: LocalInstance, max_jobs: int, port: int | None) -> None:
        self.max_jobs = max_jobs
        self.without_containers: str | None = None
        self._instance = instance
        self._port = _choose_port(instance, port)
        self._environ = {name: value for name, value in os.environ.items() if name not in _REMOVED_VARIABLES}
        self._signals = Signals()
        self._server: ChildProcess | None = None
        self._agent: ChildProcess | None = None
        # Why the server does not answer, as far as it was asked.
        self._why: str | None = None

    @property
    def url(self) -> str:
        """Address of the queue server."""
        return f"http://{HOST}:{self._port}"

    def start(self) -> bool:
        """Start both and wait until they serve; returns false where a signal asked to stop meanwhile.

        Raises:
            InstanceNotRunning: one of them did not start.
        """
        return self._start_server() and self._start_agent()

    def supervise(self, echo: Callable[[str], None]) -> None:
        """Restart processes that die, until a signal asks to stop or the agent ends by itself (drained, detached)."""
        while not self._signals.stop_requested:
            self._signals.wait(CHECK_SECONDS)
            if self._agent is not None and self._agent.exit_code() == 0:
                echo("The agent has ended.")
                return
            for name, child in (("queue server", self._server), ("agent", self._agent)):
                code = child.exit_code() if child else None
                if child is not None and code is not None and child.restart():
                    echo(f"The {name} died (exit code {code}) and was started again.")

    def jobs(self) -> int | None:
        """Return the number of the agent's jobs, ``None`` where it does not answer."""
        try:
            return len(ask(self._instance.runtime_dir, {"command": "status"})["status"]["jobs"])
        except (ControlError, KeyError):
            return None

    def stop(self) -> None:
        """Stop the agent, then the server, so that the agent's last reports are delivered."""
        if self._agent is not None:
            self._agent.stop(AGENT_STOP_SECONDS)
        if self._server is not None:
            self._server.stop(SERVER_STOP_SECONDS)

    def _start_server(self) -> bool:
        options = ("--data-dir", str(self._instance.server_dir), "--host", HOST, "--port", str(self._port))
        self._server = ChildProcess(["server", *options], self._instance.server_log, self._environ)
        return self._wait_for(self._server, self._server_answers, "The queue server")

    def _start_agent(self) -> bool:
        with closing(self._client()) as client:
            entity = client.viewer().entity or ""
            if client.queue(entity, DEFAULT_QUEUE) is None:
                client.create_queue(entity, DEFAULT_QUEUE)
            self.without_containers = why_no_containers(self._environ)
            self._write_config(entity, [queue.name for queue in client.queues(entity)])
        self._agent = ChildProcess(
            ["agent", "-c", str(self._instance.config_path)], self._instance.agent_log, self._environ
        )
        started = self._wait_for(self._agent, self._agent_polls, "The agent")
        if started:
            self._instance.write_info(self.url)
        return started

    def _wait_for(self, child: ChildProcess, ready: Callable[[], bool], who: str) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self._signals.stop_requested:
                return False
            if child.exit_code() is not None:
                raise InstanceNotRunning(f"{who} did not start: {child.log_tail()}")
            if time.monotonic() > deadline:
                raise InstanceNotRunning(
                    f"{who} did not start within {START_SECONDS:g} s. {self._why or child.log_tail()}"
                )
            self._signals.wait(POLL_SECONDS)
        return True

    def _client(self) -> QueueServer:
        return QueueServer(self.url, self._instance.key_file.read_text().strip())

    def _server_answers(self) -> bool:
        try:
            with closing(self._client()) as client:
                client.viewer()
        except (QueueServerError, FileNotFoundError) as error:
            self._why = str(error)
            return False
        return True

    def _agent_polls(self) -> bool:
        try:
            status = ask(self._instance.runtime_dir, {"command": "status"})
        except ControlError:
            self._why = None
            return False
        return bool(status.get("ok") and status["status"]["agent"]["state"] == "polling")

    def _write_config(self, entity: str, queues: list[str]) -> None:
        settings = {
            "base_url": self.url,
            "api_key_file": str(self._instance.key_file),
            "state_dir": str(self._instance.agent_dir),
            "runtime_dir": str(self._instance.runtime_dir),
            "policy": _policy(has_containers=self.without_containers is None),
        }
        config = {"entity": entity, "queues": queues, "max_jobs": self.max_jobs, "launchd": settings}
        self._instance.config_path.write_text(_CONFIG_HEAD + yaml.safe_dump(config, sort_keys=False))


def _policy(*, has_containers: bool) -> dict[str, Any]:
    """Return what the agent grants: its jobs have its user's rights anyway."""
    policy: dict[str, Any] = {
        "resources": [LOCAL_PROCESS],
        "allow_local_git": True,
        "allow_venv": True,
        "allow_root_jobs": True,
    }
    if has_containers:
        policy["resources"] = [LOCAL_PROCESS, LOCAL_CONTAINER]
        # A user who reaches the engine is as good as root anyway.
        policy["preset"] = "trusted"
    return policy


def _choose_port(instance: LocalInstance, given: int | None) -> int:
    """Return the given port, else the last one if it is free, else any free one."""
    if given:
        return given
    info = instance.info()
    last = urlsplit(info.url).port if info and given is None else None
    return (last and _free_port(last)) or _free_port(0) or 0


def _free_port(port: int) -> int | None:
    with socket.socket() as listening:
        # As the server does: a port with connections in TIME_WAIT is free.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError:
            return None
        return int(listening.getsockname()[1])
