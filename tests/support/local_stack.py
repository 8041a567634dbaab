"""`launchd up` in a directory of its own, the commands beside it, and a repository to launch."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from tests.support.processes import children_of, command_line
from tests.support.waiting import patience, wait_until

#: Every process that `up` has started is gone after this.
LEAVE_SECONDS = 30.0


class LocalStackProcess:
    """A running `launchd up` over a directory of its own, and the commands beside it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._log = directory.with_suffix(".log")
        foreign = ("WANDB_", "LAUNCHD_CONFIG", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {
            "PATH": path,
            "LAUNCHD_STATE_DIR": str(directory),
            "HOME": str(directory.parent),
            "PYTHONUNBUFFERED": "1",
        }
        self.environ = kept | own

    def start(self, cwd: Path | None = None) -> None:
        with self._log.open("ab") as log:
            position = log.tell()
            command = self.command("up", "-j", "4")
            self.process = subprocess.Popen(command, env=self.environ, cwd=cwd, stdout=log, stderr=log)
        wait_until(
            lambda: "Ctrl-C to stop" in self.said(position) or self.process.poll() is not None, 30, "launchd is up"
        )
        assert self.process.poll() is None, self.said()

    def said(self, since: int = 0) -> str:
        return self._log.read_bytes()[since:].decode()

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "launchd", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*words), env=self.environ, capture_output=True, timeout=patience(50), check=False
        )

    def output(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def launch(self, *words: str) -> str:
        """Launch and do not wait; returns the item's id."""
        return self.output("launch", "--async", *words)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.output("status", "--json"))
        return status

    def jobs(self) -> dict[str, str]:
        """Return the phase of each job in the agent's care, by item."""
        return {job["item_id"]: job["phase"] for job in self.status()["jobs"]}

    def outcomes(self) -> dict[str, dict[str, Any]]:
        return {job["item_id"]: job for job in self.status()["recent"]}

    def wait_running(self, item_id: str) -> None:
        wait_until(lambda: self.jobs().get(item_id) == "running", what=f"{item_id} runs")

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(patience(LEAVE_SECONDS))

    def processes(self) -> list[psutil.Process]:
        """Return the server and the agent."""
        return children_of(self.process.pid)

    def child(self, name: str) -> psutil.Process:
        return next(process for process in self.processes() if name in command_line(process).split())


def make_repository(path: Path) -> str:
    """A git repository whose tag v1 prints another version than its branch; returns its URL."""
    identity = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    subprocess.run(["git", "init", "--quiet", "--initial-branch", "main", str(path)], check=True)
    for version in (1, 2):
        (path / "main.py").write_text(f"print('version {version}')")
        subprocess.run(["git", "-C", str(path), "add", "."], check=True)
        subprocess.run(["git", "-C", str(path), *identity, "commit", "--quiet", "-m", "Change"], check=True)
        subprocess.run(["git", "-C", str(path), "tag", f"v{version}"], check=True)
    return f"file://{path}"
