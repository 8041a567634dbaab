"""Finds, kills and stops the processes of a fault campaign, and lists those that remain.

The process of the campaign becomes the parent of every orphan below it, so that no process that an agent has started is
missed.
"""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from random import Random

import psutil

from tests.support.testbed import Testbed
from workers.processes import adopt_orphans

#: The faults, a process and a signal each, with their relative frequencies.
FAULTS = {
    "worker SIGKILL": 7,
    "worker SIGSTOP": 3,
    "supervisor SIGKILL": 4,
    "fork server SIGKILL": 3,
    "queue server SIGKILL": 3,
}


class FaultInjector:
    """Kills and stops processes of ``testbed``.

    From its creation on, every orphan below this process becomes its child.
    """

    def __init__(self, testbed: Testbed, random: Random) -> None:
        adopt_orphans()
        self._testbed = testbed
        self._random = random
        self._start_thread = threading.Thread()
        self._faults: dict[str, Callable[[], bool]] = {
            "worker SIGKILL": lambda: self._signal_worker(signal.SIGKILL),
            "worker SIGSTOP": lambda: self._signal_worker(signal.SIGSTOP),
            "supervisor SIGKILL": self._kill_supervisor,
            "fork server SIGKILL": self._kill_fork_server,
            "queue server SIGKILL": self._kill_queue_server,
        }

    def choose(self) -> str:
        """Return a random fault, one of ``FAULTS``."""
        return self._random.choices(list(FAULTS), list(FAULTS.values()))[0]

    def inject(self, fault: str) -> bool:
        """Inject ``fault``, one of ``FAULTS``; return whether there was a process for it."""
        with suppress(psutil.NoSuchProcess):
            return self._faults[fault]()
        return False

    def supervisor_is_alive(self) -> bool:
        """Return whether the agent's main process runs."""
        return self._testbed.agent is not None and self._testbed.agent.exit_code() is None

    def queue_server_is_alive(self) -> bool:
        """Return whether the queue server runs and has answered since its last start."""
        return not self._start_thread.is_alive() and self._testbed.server.process.poll() is None

    def start_queue_server(self) -> None:
        """Start the queue server in a thread, unless it is starting already; faults can be injected meanwhile."""
        if not self._start_thread.is_alive():
            self._start_thread = threading.Thread(target=self._testbed.server.start, daemon=True)
            self._start_thread.start()

    def remaining_processes(self) -> list[psutil.Process]:
        """Return the processes below this one, except the queue server."""
        self.reap()
        server = self._testbed.server.process.pid
        return [process for process in psutil.Process().children(recursive=True) if process.pid != server]

    def reap(self) -> None:
        """Wait for orphans that have ended, as init would, which removes them from the process table."""
        waited_elsewhere = {self._testbed.server.process.pid, self._testbed.agent.pid if self._testbed.agent else 0}
        for process in psutil.Process().children():
            with suppress(psutil.NoSuchProcess, ChildProcessError):
                if process.pid not in waited_elsewhere and process.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(process.pid, os.WNOHANG)

    def _signal_worker(self, number: signal.Signals) -> bool:
        workers = [worker for server in self._fork_servers() for worker in server.children() if _is_running(worker)]
        if not workers:
            return False
        self._random.choice(workers).send_signal(number)
        return True

    def _kill_supervisor(self) -> bool:
        if self._testbed.agent is None or not self.supervisor_is_alive():
            return False
        self._testbed.agent.kill()
        return True

    def _kill_fork_server(self) -> bool:
        servers = self._fork_servers()
        for server in servers:
            server.kill()
        return bool(servers)

    def _kill_queue_server(self) -> bool:
        if not self.queue_server_is_alive():
            return False
        self._testbed.server.kill()
        return True

    def _fork_servers(self) -> list[psutil.Process]:
        if self._testbed.agent is None or not self.supervisor_is_alive():
            return []
        children = psutil.Process(self._testbed.agent.pid).children()
        return [child for child in children if _is_running(child) and "fork server" in " ".join(child.cmdline())]


def describe(process: psutil.Process) -> str:
    """Return the id, status and command line of ``process`` as text."""
    try:
        return f"{process.pid} {process.status()} {' '.join(process.cmdline())[:100]}"
    except psutil.NoSuchProcess:
        return f"{process.pid} (gone by now)"


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False
