"""The environment of a person: a home directory, an account on launchd's server, one version of W&B's client."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.compat.clients import WandbClient
from tests.compat.interpreter import Interpreter
from tests.support.waiting import patience

SCRIPTS = Path(__file__).parent / "scripts"
#: Longest time, in seconds, that one command or script may take on a machine that is not busy.
COMMAND_SECONDS = 55.0


class CommandFailed(AssertionError):
    """A command of the client did not end with the exit code 0."""


@dataclass(frozen=True)
class WandbEnv:
    """Starts the client's commands and scripts below ``directory``, with none of the tests' own settings."""

    client: WandbClient
    directory: Path
    url: str
    key: str
    interpreter: Interpreter | None = None
    """Runs commands and scripts where there is one: without it each is a process that imports the client first."""

    @classmethod
    def set_up(
        cls, client: WandbClient, directory: Path, url: str, key: str, interpreter: Interpreter | None = None
    ) -> "WandbEnv":
        """Make the home and the working directory, and return the environment."""
        wandb_env = cls(client, directory, url.replace("127.0.0.1", "localhost"), key, interpreter)
        for path in (wandb_env.home, wandb_env.work):
            path.mkdir(parents=True)
        return wandb_env

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def work(self) -> Path:
        return self.directory / "work"

    @property
    def gitconfig(self) -> Path:
        """Settings of git, of this person and of the agent beside them."""
        return self.directory / "gitconfig"

    @property
    def strangers(self) -> dict[str, str]:
        """Environment of somebody who is not logged in."""
        return {
            "PATH": f"{self.client.home / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "TMPDIR": str(self.work),
            "GIT_CONFIG_GLOBAL": str(self.gitconfig),
            "GIT_ALLOW_PROTOCOL": "file:https",
            # Otherwise the client tells its makers of its errors.
            "WANDB_ERROR_REPORTING": "false",
        } | {name: value for name, value in os.environ.items() if name.startswith("LAUNCHD_TEST")}

    @property
    def environ(self) -> dict[str, str]:
        """Environment of somebody who has a key."""
        return self.strangers | {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": self.key}

    def wandb(self, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
        """Run ``wandb ARGUMENTS``; returns what it wrote. Raises :class:`CommandFailed` unless it succeeded."""
        done = self._run_client(["wandb", *arguments], environ)
        if done.returncode != 0:
            raise CommandFailed(f"wandb {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def _run_client(self, arguments: list[str], environ: Mapping[str, str] | None) -> subprocess.CompletedProcess[str]:
        """Run ``wandb`` or a script."""
        if self.interpreter is not None:
            environ = self.environ if environ is None else environ
            return self.interpreter.run(arguments, self.work, environ, patience(COMMAND_SECONDS))
        program, *rest = arguments
        command = [str(self.client.command)] if program == "wandb" else [str(self.client.python), program]
        return self.run([*command, *rest], environ)

    def run(
        self, command: list[str], environ: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command whatever its exit code; standard error comes with standard output."""
        return subprocess.run(
            command,
            cwd=self.work,
            env=self.environ if environ is None else dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout or patience(COMMAND_SECONDS),
            check=False,
        )

    def script(self, name: str, /, **arguments: Any) -> Any:
        """Run ``scripts/NAME.py`` with the client's Python; returns what it answered.

        A script reads its arguments as JSON from its first argument and writes its answer as JSON to the file that its
        second one names.
        """
        answer = self.work / f"{name}.json"
        answer.unlink(missing_ok=True)
        path = SCRIPTS / f"{name}.py"
        done = self._run_client([str(path), json.dumps(arguments), str(answer)], None)
        if done.returncode != 0:
            raise CommandFailed(f"{path.name} ended with {done.returncode}:\n{done.stdout}")
        return json.loads(answer.read_text())

    @staticmethod
    def download(url: str) -> bytes:
        """Return what is behind a link of the server, which needs no key."""
        answer = requests.get(url, timeout=20)
        answer.raise_for_status()
        return answer.content

    def file(self, name: str, content: object) -> str:
        """Write ``content`` as JSON into a file of the working directory; returns its path."""
        path = self.work / name
        path.write_text(json.dumps(content))
        return str(path)
