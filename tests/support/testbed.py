"""A testbed: a queue server, an agent and their files, started, killed and looked at from outside."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from launchd.agent.control.client import ControlError, ask
from launchd.client.queue_server import Item, QueueServer
from tests.support.gate import Gate
from tests.support.guest_host import OVER
from tests.support.processes import holds_files_below, list_of
from tests.support.server import Account, RunningServer, running_server
from tests.support.waiting import patience, wait_until

ROOT = Path(__file__).parents[2]
QUEUE = "default"

#: Quick enough for a test to see a silent worker ended.
QUICK = {
    "worker_heartbeat_seconds": 0.3,
    "worker_silence_seconds": 2.0,
    "fork_server_silence_seconds": 3.0,
    "wait_seconds": 5.0,
}


class AgentProcess:
    """An agent as an operator runs it: ``launchd agent -c FILE``."""

    def __init__(self, testbed: "Testbed", environ: Mapping[str, str]) -> None:
        self._testbed = testbed
        self._log = testbed.agent_log.open("ab")
        self._process = subprocess.Popen(
            [*testbed.launcher, sys.executable, "-m", "launchd", "agent", "-c", str(testbed.config_path)],
            cwd=ROOT,
            env=os.environ | {"WANDB_API_KEY": testbed.server.key, "WANDB_BASE_URL": testbed.server.url} | environ,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self.pid = self._process.pid

    def wait_ready(self) -> None:
        """Wait until it answers at its control socket."""
        wait_until(
            lambda: self._answers() or self.exit_code() is not None or self.is_stopped(),
            what="the agent answered, left or hung",
        )

    def wait_gone(self, timeout: float = 20.0) -> int:
        """Wait until it has left; returns its exit code."""
        code = self._process.wait(patience(timeout))
        self._log.close()
        return code

    def exit_code(self) -> int | None:
        return self._process.poll()

    def is_stopped(self) -> bool:
        """Whether it hangs in SIGSTOP."""
        return self.exit_code() is None and psutil.Process(self.pid).status() == psutil.STATUS_STOPPED

    def kill(self) -> None:
        """SIGKILL it, as the kernel or an impatient operator does."""
        if self.exit_code() is None:
            self._process.kill()
        self.wait_gone()

    def terminate(self) -> int:
        """SIGTERM it, as systemd does; returns its exit code."""
        self._process.terminate()
        return self.wait_gone()

    def _answers(self) -> bool:
        try:
            self._testbed.ask(command="status")
        except ControlError:
            return False
        return True


class Testbed:
    """A queue server with one queue, and room for one agent at a time."""

    __test__ = False  # not a class of tests, whatever its name begins with

    def __init__(
        self, directory: Path, server: RunningServer | Account, *, max_jobs: int, launchd: Mapping[str, Any]
    ) -> None:
        self.directory = directory
        self.server = server
        self.client = QueueServer(server.url, server.key)
        self.entity = self.client.viewer().entity or ""
        if self.client.queue(self.entity, QUEUE) is None:
            self.client.create_queue(self.entity, QUEUE)
        self.state_dir = directory / "state"
        self.runtime_dir = directory / "run"
        self.agent_log = directory / "agent.log"
        self.config_path = directory / "launch-config.yaml"
        self.configure(max_jobs=max_jobs, launchd=launchd)
        self.agent: AgentProcess | None = None
        #: What starts the agent: a program that becomes it, such as `unshare`.
        self.launcher: tuple[str, ...] = ()

    def configure(self, *, max_jobs: int, launchd: Mapping[str, Any] | None = None, **top: Any) -> None:
        """Write the agent's configuration file; ``top`` are keys of W&B's."""
        ours: dict[str, Any] = {
            "state_dir": str(self.state_dir),
            "runtime_dir": str(self.runtime_dir),
            "policy": {"resources": ["local-process", "fake"], "allow_local_git": True},
            "supervision": QUICK,
        }
        ours |= launchd or {}
        # The tests may be run by root.
        ours["policy"] = {"allow_root_jobs": True} | ours["policy"]
        config = {"entity": self.entity, "queues": [QUEUE], "max_jobs": max_jobs, "launchd": ours}
        self.config_path.write_text(yaml.safe_dump(config | top))

    def start_agent(self, **environ: str) -> AgentProcess:
        """Start the agent and wait until it answers or has left."""
        self.agent = AgentProcess(self, environ)
        self.agent.wait_ready()
        return self.agent

    def push(self, *command: str, resource: str = "local-process", **spec: Any) -> str:
        """Queue a command; returns the item's id."""
        overrides = {"entry_point": list(command), **spec.pop("overrides", {})}
        run_spec = {"entity": self.entity, "project": "tests", "resource": resource, "overrides": overrides, **spec}
        return self.client.push(self.entity, QUEUE, run_spec)

    def push_waiting(self, gate: Gate, **spec: Any) -> str:
        """Queue a job that waits at the gate."""
        return self.push("sh", "-c", f"echo begun; {gate.wait}; echo ended", **spec)

    def wait_running(self, *items: str) -> None:
        """Wait until these jobs run."""
        wait_until(lambda: all(self.phase(item) == "running" for item in items), 20.0, "the jobs run")

    def output(self, item_id: str) -> str:
        """Return what a job has printed."""
        return Path(self.job(item_id)["log_path"]).read_text()

    def item(self, item_id: str) -> Item:
        item = self.client.item(item_id)
        assert item is not None
        return item

    def wait_over(self, item_ids: Sequence[str], timeout: float = 40.0) -> list[Item]:
        """Wait until all items are over, as the queue server sees it; returns them."""
        what = f"the end of {len(item_ids)} items ({self.agent_log})"
        wait_until(lambda: all(self.item(item_id).state in OVER for item_id in item_ids), timeout, what)
        return [self.item(item_id) for item_id in item_ids]

    def ask(self, **request: str) -> dict[str, Any]:
        """Ask the agent at its control socket."""
        return ask(self.runtime_dir, request)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.ask(command="status")["status"]
        return status

    def job(self, item_id: str) -> dict[str, Any]:
        job: dict[str, Any] = self.ask(command="job", item=item_id)["job"]
        return job

    def phase(self, item_id: str) -> str | None:
        """Return the phase of a job, or ``None`` while the agent does not know it."""
        answer = self.ask(command="job", item=item_id)
        return str(answer["job"]["phase"]) if answer["ok"] else None

    def journal_states(self) -> dict[str, str]:
        """Return the state of each job in the journal, by item."""
        rows = self._in_journal("SELECT item_id, record FROM jobs")
        return {item_id: json.loads(record)["state"] for item_id, record in rows}

    def outbox(self) -> int:
        """Return how many rows wait in the outbox."""
        return int(self._in_journal("SELECT count(*) FROM outbox")[0][0])

    def log(self) -> str:
        return self.agent_log.read_text(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """Return what holds some of the agent's state: workers with a job, shims, jobs; not the agent itself."""
        return list_of(self._is_ours)

    @property
    def agent_pid(self) -> int:
        assert self.agent is not None
        return self.agent.pid

    def close(self) -> None:
        """End the agent, if one runs."""
        if self.agent is not None and self.agent.exit_code() is None:
            os.kill(self.agent.pid, signal.SIGCONT)
            self.agent.kill()
        self.client.close()

    def _in_journal(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.state_dir}/journal.sqlite?mode=ro", uri=True)) as journal:
            return journal.execute(query).fetchall()

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.pid in (os.getpid(), self.agent.pid if self.agent else None):
            return False
        return holds_files_below(self.state_dir, process.pid)


@contextmanager
def make_testbed(
    directory: Path,
    account: Account | None = None,
    *,
    max_jobs: int = 4,
    launchd: Mapping[str, Any] | None = None,
) -> Iterator[Testbed]:
    """Open a testbed in ``directory``; everything started in it ends with it.

    It is at the server of ``account``, or at a server of its own for a test that kills it or needs to be alone there.
    """
    with ExitStack() as stack:
        server: RunningServer | Account | None = account
        if server is None:
            (directory / "server").mkdir()
            server = stack.enter_context(running_server(directory / "server"))
        opened = Testbed(directory, server, max_jobs=max_jobs, launchd=launchd or {})
        stack.callback(opened.close)
        yield opened
