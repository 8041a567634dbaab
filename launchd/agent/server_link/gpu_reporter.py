"""Reports to the queue server which GPUs of the host are free, as soon as that changes.

A thread beside the pollers: a claim that waits at the server was for what was free when it was sent. Only on hosts with
GPUs, and only where the server hands out what fits.
"""

import contextlib
import threading

from launchd.agent.events import EventQueue
from launchd.agent.server_link.protocol import ServerProtocol
from launchd.agent.server_link.retry import RetryingCaller, Stopped
from launchd.client.errors import Refused
from launchd.client.queue_server import AgentGpus


class GpuReporter(threading.Thread):
    """Reports the newest of what it is given, as the agent ``agent_id``, until told to end."""

    def __init__(self, protocol: ServerProtocol, agent_id: str, incarnation: str, events: EventQueue) -> None:
        super().__init__(name="gpu-reporter", daemon=True)
        self._protocol = protocol
        self._agent_id = agent_id
        self._incarnation = incarnation
        self._stopped = threading.Event()
        self._caller = RetryingCaller(events, self._stopped)
        self._changed = threading.Condition()
        self._newest: AgentGpus | None = None

    def report(self, gpus: AgentGpus) -> None:
        """Report these, unless newer ones come before they are sent."""
        with self._changed:
            self._newest = gpus
            self._changed.notify_all()

    def end(self) -> None:
        """Report nothing more."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()

    def run(self) -> None:
        """Report until told to end."""
        told: AgentGpus | None = None
        with contextlib.suppress(Stopped):
            while True:
                told = self._report_once(self._wait_for_other(told))

    def _wait_for_other(self, told: AgentGpus | None) -> AgentGpus:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped.is_set() or self._newest != told)
            if self._stopped.is_set() or self._newest is None:
                raise Stopped
            return self._newest

    def _report_once(self, gpus: AgentGpus) -> AgentGpus:
        # What is wrong with the agent's registration the pollers find out, and the next claim tells its GPUs as well.
        with contextlib.suppress(Refused):
            self._caller.retry_forever(lambda: self._protocol.report_gpus(self._agent_id, self._incarnation, gpus))
        return gpus
