"""Finds the processes of a fault campaign, by what their titles and parents say of them.

The process of the campaign becomes the parent of every orphan below it, so that no process that an agent has started is
missed.
"""

import os
from collections.abc import Collection
from contextlib import suppress

import psutil

from tests.support.server import RunningServer
from tests.support.testbed import Testbed
from workers.processes import adopt_orphans

SHIM_TITLE = "launchd: shim "


class Processes:
    """Those of a testbed at a server of its own; from now on every orphan below this process becomes its child.

    Children of this process with the ids ``others`` belong to neither.
    """

    def __init__(self, testbed: Testbed, server: RunningServer, others: Collection[int] = ()) -> None:
        adopt_orphans()
        self._others = frozenset(others)
        self._testbed = testbed
        self._server = server

    def supervisor(self) -> psutil.Process | None:
        """Return the agent's main process, if it lives."""
        agent = self._testbed.agent
        if agent is None or agent.exit_code() is not None:
            return None
        return psutil.Process(agent.pid)

    def fork_servers(self) -> list[psutil.Process]:
        """Return the fork servers of the living supervisor."""
        supervisor = self.supervisor()
        children = supervisor.children() if supervisor is not None else []
        return [child for child in children if is_running(child) and "fork server" in _title(child)]

    def workers(self) -> list[psutil.Process]:
        """Return the workers below the living supervisor, spare ones too; without those that are stopped."""
        return [worker for server in self.fork_servers() for worker in server.children() if is_running(worker)]

    def shims(self) -> list[psutil.Process]:
        """Return the shims that keep a job."""
        titled = [process for process in self.of_agent() if job_of_shim(process) is not None]
        pids = {process.pid for process in titled}
        # The command has its shim's title between fork and execution.
        return [process for process in titled if process.ppid() not in pids]

    def of_agent(self) -> list[psutil.Process]:
        """Return all processes below this one, except the queue server and those that belong to neither."""
        self.reap()
        apart = self._others | {self._server.process.pid}
        return [process for process in psutil.Process().children(recursive=True) if process.pid not in apart]

    def kill_agent(self) -> None:
        """SIGKILL everything of the agent, and what is forked meanwhile; returns without waiting for their ends."""
        killed: set[int] = set()
        while victims := [process for process in self.of_agent() if process.pid not in killed]:
            for victim in victims:
                killed.add(victim.pid)
                with suppress(psutil.NoSuchProcess):
                    victim.kill()

    def reap(self) -> None:
        """Wait for orphans that have ended, as init would, which removes them from the process table."""
        waited_elsewhere = {self._server.process.pid, self._testbed.agent.pid if self._testbed.agent else 0}
        for process in psutil.Process().children():
            with suppress(psutil.NoSuchProcess, ChildProcessError):
                if process.pid not in waited_elsewhere and process.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(process.pid, os.WNOHANG)


def job_of_shim(process: psutil.Process) -> str | None:
    """Return the workload name of the job that ``process`` keeps, ``None`` where it is not such a shim."""
    title = _title(process)
    if not title.startswith(SHIM_TITLE) or title.endswith(" idle"):
        return None
    return title.removeprefix(SHIM_TITLE)


def is_running(process: psutil.Process) -> bool:
    """Return whether ``process`` lives and is not stopped."""
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False


def describe(process: psutil.Process) -> str:
    """Return the id, status and command line of ``process`` as text."""
    try:
        return f"{process.pid} {process.status()} {_title(process)[:100]}"
    except psutil.NoSuchProcess:
        return f"{process.pid} (gone by now)"


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""
