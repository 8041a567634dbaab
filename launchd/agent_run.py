"""The agent's own run at W&B's server, in which the logs of failed items lie.

W&B shows a failed item's log from the files of a run named after the agent. It is opened with the first such file,
lives as long as we do, and is ended with us. Used by the reporter's and the watcher's threads.
"""

import contextlib
import threading
import time

from launchd.client.errors import QueueServerError
from launchd.client.queue_server import QUEUE_PROJECT, QueueServer
from launchd.inbox import Registered

#: W&B's type of such runs.
JOB_TYPE = "sweep-controller"

#: How often the run shows that it lives; without that it is shown as crashed.
BEAT_SECONDS = 30.0


class AgentRun:
    """The run; any thread may call."""

    def __init__(self, server: QueueServer, registered: Registered) -> None:
        self._server = server
        self._entity = registered.entity
        self._name = registered.agent_name
        self._lock = threading.Lock()
        self._is_open = False
        self._beat_at = 0.0
        #: Whether the server knows agents, runs and their files at all.
        self.is_possible = bool(registered.agent_name) and registered.capabilities.run_files

    def keep(self, path: str, content: bytes) -> None:
        """Store a file, opening the run if need be; raises ``QueueServerError``."""
        with self._lock:
            if not self._is_open:
                self._server.open_run(self._entity, QUEUE_PROJECT, self._name, JOB_TYPE)
                self._is_open = True
                self._beat_at = time.monotonic()
        self._server.upload_run_file(self._entity, QUEUE_PROJECT, self._name, path, content)

    def beat(self) -> None:
        """Show that the run lives, if that is due. A beat that fails is left out."""
        with self._lock:
            now = time.monotonic()
            if not self._is_open or now - self._beat_at < BEAT_SECONDS:
                return
            self._beat_at = now
        with contextlib.suppress(QueueServerError):
            self._server.tell_run(self._entity, QUEUE_PROJECT, self._name, {})

    def end(self) -> None:
        """End the run, if it was opened; raises ``QueueServerError``."""
        with self._lock:
            was_open, self._is_open = self._is_open, False
        if was_open:
            self._server.tell_run(self._entity, QUEUE_PROJECT, self._name, {"complete": True, "exitcode": 0})
