"""The processes of one campaign: who they are, whom to kill, and what is left of them.

The campaign's own process adopts every orphan below it, so nothing an agent ever started gets out of sight.
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

#: What is done to whom, and how often in relation to the others.
KILLS = {
    "worker SIGKILL": 7,
    "worker SIGSTOP": 3,
    "supervisor SIGKILL": 4,
    "fork server SIGKILL": 3,
    "queue server SIGKILL": 3,
}


class Victims:
    """Finds and kills processes of a house; everything below this process belongs to it from now on."""

    def __init__(self, testbed: Testbed, random: Random) -> None:
        adopt_orphans()
        self._house = testbed
        self._random = random
        self._starting = threading.Thread()
        self._act: dict[str, Callable[[], bool]] = {
            "worker SIGKILL": lambda: self._signal_worker(signal.SIGKILL),
            "worker SIGSTOP": lambda: self._signal_worker(signal.SIGSTOP),
            "supervisor SIGKILL": self._kill_supervisor,
            "fork server SIGKILL": self._kill_fork_server,
            "queue server SIGKILL": self._kill_queue_server,
        }

    def draw(self) -> str:
        """Return what is to be done next, one of ``KILLS``."""
        return self._random.choices(list(KILLS), list(KILLS.values()))[0]

    def kill(self, what: str) -> bool:
        """Do it; returns whether there was a victim of this kind."""
        with suppress(psutil.NoSuchProcess):
            return self._act[what]()
        return False

    def supervisor_is_alive(self) -> bool:
        """Return whether the agent's main process runs."""
        return self._house.agent is not None and self._house.agent.exit_code() is None

    def queue_server_is_alive(self) -> bool:
        """Return whether the queue server runs and has answered."""
        return not self._starting.is_alive() and self._house.server.process.poll() is None

    def start_queue_server(self) -> None:
        """Begin to start the queue server, unless that has begun; meanwhile others may die."""
        if not self._starting.is_alive():
            self._starting = threading.Thread(target=self._house.server.start, daemon=True)
            self._starting.start()

    def left(self) -> list[psutil.Process]:
        """Return everything that lives below this process, but for the queue server."""
        self.reap()
        server = self._house.server.process.pid
        return [process for process in psutil.Process().children(recursive=True) if process.pid != server]

    def reap(self) -> None:
        """Take orphans that have ended off the process table, as init would."""
        ours = {self._house.server.process.pid, self._house.agent.pid if self._house.agent else 0}
        for process in psutil.Process().children():
            with suppress(psutil.NoSuchProcess, ChildProcessError):
                if process.pid not in ours and process.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(process.pid, os.WNOHANG)

    def _signal_worker(self, number: signal.Signals) -> bool:
        workers = [worker for server in self._fork_servers() for worker in server.children() if _runs(worker)]
        if not workers:
            return False
        self._random.choice(workers).send_signal(number)
        return True

    def _kill_supervisor(self) -> bool:
        if self._house.agent is None or not self.supervisor_is_alive():
            return False
        self._house.agent.kill()
        return True

    def _kill_fork_server(self) -> bool:
        servers = self._fork_servers()
        for server in servers:
            server.kill()
        return bool(servers)

    def _kill_queue_server(self) -> bool:
        if not self.queue_server_is_alive():
            return False
        self._house.server.kill()
        return True

    def _fork_servers(self) -> list[psutil.Process]:
        if self._house.agent is None or not self.supervisor_is_alive():
            return []
        children = psutil.Process(self._house.agent.pid).children()
        return [child for child in children if _runs(child) and "fork server" in " ".join(child.cmdline())]


def describe(process: psutil.Process) -> str:
    """Return who a process is, for people."""
    try:
        return f"{process.pid} {process.status()} {' '.join(process.cmdline())[:100]}"
    except psutil.NoSuchProcess:
        return f"{process.pid} (gone by now)"


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False
