"""The agent's own run at W&B's server, in which the logs of failed items lie.

W&B shows a failed item's log from the files of a run named after the agent that took the item: us, or us before a
restart. It is opened with the first such file, lives as long as we do, and is ended with us. Used by the reporter's and
the watcher's threads.
"""

import contextlib
import threading
import time

from launchd.agent.events import Registered
from launchd.client.errors import QueueServerError, Refused
from launchd.client.queue_server import QUEUE_PROJECT, QueueServer

#: W&B's type of such runs.
JOB_TYPE = "sweep-controller"

#: How often the run shows that it lives; without that it is shown as crashed.
HEARTBEAT_SECONDS = 30.0


class AgentRun:
    """The run, and those of the agents that we were; any thread may call."""

    def __init__(self, server: QueueServer, registered: Registered) -> None:
        self._server = server
        self._entity = registered.entity
        self._names = {registered.agent_id: registered.agent_name}
        self._lock = threading.Lock()
        self._open: set[str] = set()
        self._heartbeat_at = 0.0
        #: Whether the server knows agents, runs and their files at all.
        self.is_possible = bool(registered.agent_name) and registered.capabilities.run_files

    def upload_log(self, agent_id: str, path: str, content: bytes) -> None:
        """Store a file in the run of an agent, opening it if need be; raises ``QueueServerError``."""
        with self._lock:
            name = self._name_of(agent_id)
            if name not in self._open:
                self._server.open_run(self._entity, QUEUE_PROJECT, name, JOB_TYPE)
                self._open.add(name)
                self._heartbeat_at = time.monotonic()
        self._server.upload_run_file(self._entity, QUEUE_PROJECT, name, path, content)

    def _name_of(self, agent_id: str) -> str:
        if agent_id not in self._names:
            agent = self._server.agent(agent_id)
            if agent is None:
                raise Refused(f"The server no longer knows agent {agent_id}.")
            self._names[agent_id] = agent.name
        return self._names[agent_id]

    def heartbeat(self) -> None:
        """Show that the run lives, if that is due. A beat that fails is left out."""
        with self._lock:
            now = time.monotonic()
            if now - self._heartbeat_at < HEARTBEAT_SECONDS:
                return
            self._heartbeat_at = now
            names = tuple(self._open)
        for name in names:
            with contextlib.suppress(QueueServerError):
                self._server.post_file_stream(self._entity, QUEUE_PROJECT, name, {})

    def end(self) -> None:
        """End the run, if it was opened; raises ``QueueServerError``."""
        with self._lock:
            names, self._open = self._open, set()
        for name in names:
            self._server.post_file_stream(self._entity, QUEUE_PROJECT, name, {"complete": True, "exitcode": 0})
