"""The agent's own run at a W&B server, whose files are the logs of failed items.

W&B shows the log of a failed item from the files of a run that is named after the agent which claimed the item. Such a
run is opened with the first log and ends with the agent. Used by the threads of the reporter and of the heartbeat.
"""

import contextlib
import threading
import time

from launchd.agent.events import Registered
from launchd.client.errors import QueueServerError, Refused
from launchd.client.queue_server import QUEUE_PROJECT, QueueServer

#: W&B's type of such runs.
JOB_TYPE = "sweep-controller"

#: How often the run sends a heartbeat; without any, W&B shows it as crashed.
HEARTBEAT_SECONDS = 30.0


class AgentRun:
    """The runs of this agent and of those before it, whose items it has; any thread may call."""

    def __init__(self, server: QueueServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}
        self._open: dict[str, str] = {}
        self._heartbeat_at = 0.0

    def note_agent(self, registered: Registered) -> None:
        """Note the name of an agent, which saves the request for it."""
        with self._lock:
            self._names[registered.agent_id] = registered.agent_name

    def upload_log(self, entity: str, agent_id: str, path: str, content: bytes) -> None:
        """Store a file in the run of an agent, which is opened if need be; raises ``QueueServerError``."""
        with self._lock:
            name = self._name_of(agent_id)
            if name not in self._open:
                self._server.open_run(entity, QUEUE_PROJECT, name, JOB_TYPE)
                self._open[name] = entity
                self._heartbeat_at = time.monotonic()
        self._server.upload_run_file(entity, QUEUE_PROJECT, name, path, content)

    def _name_of(self, agent_id: str) -> str:
        if agent_id not in self._names:
            agent = self._server.agent(agent_id)
            if agent is None:
                raise Refused(f"The server no longer knows agent {agent_id}.")
            self._names[agent_id] = agent.name
        return self._names[agent_id]

    def heartbeat(self) -> None:
        """Send heartbeats of the open runs, if they are due. One that fails is not repeated."""
        with self._lock:
            now = time.monotonic()
            if now - self._heartbeat_at < HEARTBEAT_SECONDS:
                return
            self._heartbeat_at = now
            runs = tuple(self._open.items())
        for name, entity in runs:
            with contextlib.suppress(QueueServerError):
                self._server.post_file_stream(entity, QUEUE_PROJECT, name, {})

    def end(self) -> None:
        """End the open runs; raises ``QueueServerError``."""
        with self._lock:
            runs, self._open = self._open, {}
        for name, entity in runs.items():
            self._server.post_file_stream(entity, QUEUE_PROJECT, name, {"complete": True, "exitcode": 0})
