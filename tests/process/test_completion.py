"""Completion in a real bash at a terminal: commands, options, and names that the queue server has."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.server import RunningServer, fresh_name
from tests.support.waiting import wait_until

BIN = Path(sys.executable).parent


class Terminal:
    """A bash that completes `launchd`, at a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def type(self, keys: str) -> str:
        """Type, and return what is shown until nothing more comes for a moment."""
        os.write(self._descriptor, keys.encode())
        return self.read()

    def read(self, quiet_seconds: float = 0.5) -> str:
        shown = b""
        while select.select([self._descriptor], [], [], quiet_seconds)[0]:
            shown += os.read(self._descriptor, 65536)
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x07", "", shown.decode(errors="replace"))

    def completes(self, line: str, expected: str) -> bool:
        """Type a line and Tab; return whether it is what is expected then. The line is thrown away."""
        shown = self.type(f"{line}\t")
        give_up_at = time.monotonic() + 5
        while expected not in shown and time.monotonic() < give_up_at:
            shown += self.read()
        self.type("\x15")
        return expected in shown


@contextmanager
def bash(script: Path, **environ: str) -> Iterator[Terminal]:
    outer, inner = pty.openpty()
    variables = {**os.environ, **environ, "PATH": f"{BIN}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "$ "}
    process = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env=variables,
        start_new_session=True,
    )
    os.close(inner)
    try:
        terminal = Terminal(outer)
        terminal.type(f"source {script}\n")
        yield terminal
    finally:
        process.kill()
        process.wait()
        os.close(outer)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "launchd.bash"
    variables = {**os.environ, "_LAUNCHD_COMPLETE": "bash_source"}
    path.write_bytes(subprocess.run([BIN / "launchd"], env=variables, capture_output=True, check=True).stdout)
    return path


def test_commands_options_and_names(script: Path, queue_server: RunningServer, tmp_path: Path) -> None:
    queue = fresh_name("completed-by-bash")
    account = queue_server.account()
    with account.api() as api:
        api.create_queue(queue, entity=account.entity)
    access = {
        "WANDB_BASE_URL": account.url,
        "WANDB_API_KEY": account.key,
        "WANDB_ENTITY": account.entity,
        "HOME": str(tmp_path),
    }
    with bash(script, **access) as terminal:
        for line, expected in (
            ("launchd outb", "launchd outbox "),
            ("launchd status --wat", "--watch "),
            ("launchd queue show completed-b", f"{queue} "),
        ):
            wait_until(partial(terminal.completes, line, expected), 30, f"{line!r} is completed")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    done = subprocess.run(
        [BIN / "launchd"], env={**os.environ, "_LAUNCHD_COMPLETE": f"{shell}_source"}, capture_output=True, check=True
    )
    assert f"_LAUNCHD_COMPLETE={shell}_complete".encode() in done.stdout


def test_a_server_that_is_away_completes_nothing_and_says_nothing(tmp_path: Path) -> None:
    words = {"COMP_WORDS": "launchd queue show ", "COMP_CWORD": "3", "_LAUNCHD_COMPLETE": "bash_complete"}
    access = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "local-key", "HOME": str(tmp_path)}
    done = subprocess.run([BIN / "launchd"], env={**os.environ, **words, **access}, capture_output=True, check=True)
    assert (done.stdout.strip(), done.stderr) == (b"", b"")
