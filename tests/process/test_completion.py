"""Completion in real shells at a terminal: commands, options, and names that the queue server has."""

import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.parts import missing_part
from tests.support.server import RunningServer, fresh_name
from tests.support.waiting import wait_until

BIN = Path(sys.executable).parent


class Shell(NamedTuple):
    """How a shell is started without anybody's configuration, and what it needs before the script is read."""

    words: tuple[str, ...]
    before: str = ""


SHELLS = {
    "bash": Shell(("bash", "--norc", "--noprofile", "-i")),
    "zsh": Shell(("zsh", "-f", "-i"), "autoload -Uz compinit && compinit -uD; "),
    "fish": Shell(("fish", "--no-config", "--interactive")),
}

#: In the place of `launchd`: completes as that does, and writes down with which words it is run.
STAND_IN = """#!/bin/sh
[ -z "$_LAUNCHD_COMPLETE" ] || exec {launchd} "$@"
echo "$*" >> {ran}
"""


class Terminal:
    """A shell that completes `launchd`, at a terminal."""

    def __init__(self, descriptor: int, ran: Path) -> None:
        self._descriptor = descriptor
        self._ran = ran

    def enter(self, line: str) -> None:
        """Type a line and Enter."""
        self._read_away()
        os.write(self._descriptor, f"{line}\r".encode())

    def completes(self, line: str, expected: str) -> bool:
        """Type a line, Tab and Enter; return whether the command is run with the words that are expected."""
        self._ran.unlink(missing_ok=True)
        self.enter(f"launchd {line}\t")
        wait_until(self._has_run, 30, f"{line!r} is run")
        return self._ran.read_text().split() == expected.split()

    def _has_run(self) -> bool:
        self._read_away()
        return self._ran.exists() and self._ran.read_text().endswith("\n")

    def _read_away(self) -> None:
        """What is shown differs from shell to shell, and stops one that nobody reads from."""
        while select.select([self._descriptor], [], [], 0)[0]:
            os.read(self._descriptor, 65536)


@contextmanager
def terminal_of(name: str, directory: Path, **environ: str) -> Iterator[Terminal]:
    """Start a shell that has read its script."""
    shell, ran, programs = SHELLS[name], directory / "ran", directory / "bin"
    programs.mkdir()
    stand_in = programs / "launchd"
    stand_in.write_text(STAND_IN.format(launchd=BIN / "launchd", ran=ran))
    stand_in.chmod(0o755)
    script = directory / f"launchd.{name}"
    script.write_bytes(script_of(name))
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        ("setsid", "--ctty", *shell.words),
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env={**os.environ, **environ, "PATH": f"{programs}:{os.environ['PATH']}", "TERM": "dumb"},
        cwd=directory,
    )
    os.close(inner)
    try:
        terminal = Terminal(outer, ran)
        terminal.enter(f"{shell.before}source {script}")
        yield terminal
    finally:
        process.kill()
        process.wait()
        os.close(outer)


def script_of(shell: str) -> bytes:
    variables = {**os.environ, "_LAUNCHD_COMPLETE": f"{shell}_source"}
    return subprocess.run([BIN / "launchd"], env=variables, capture_output=True, check=True).stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_and_names(shell: str, queue_server: RunningServer, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        missing_part(f"{shell} is not installed here (Debian: apt-get install {shell})")
    queue = fresh_name(f"completed-by-{shell}")
    account = queue_server.account()
    with account.api() as api:
        api.create_queue(queue, entity=account.entity)
        item = api.push(queue, entity=account.entity)
    access = {
        "WANDB_BASE_URL": account.url,
        "WANDB_API_KEY": account.key,
        "WANDB_ENTITY": account.entity,
        "HOME": str(tmp_path),
    }
    with terminal_of(shell, tmp_path, **access) as terminal:
        for line, expected in (
            ("outb", "outbox"),
            ("status --wat", "status --watch"),
            ("queue show completed-b", f"queue show {queue}"),
            (f"logs {item[:4]}", f"logs {item}"),
        ):
            wait_until(partial(terminal.completes, line, expected), 30, f"{line!r} is completed")


def test_a_server_that_is_away_completes_nothing_and_says_nothing(tmp_path: Path) -> None:
    words = {"COMP_WORDS": "launchd queue show ", "COMP_CWORD": "3", "_LAUNCHD_COMPLETE": "bash_complete"}
    access = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "local-key", "HOME": str(tmp_path)}
    done = subprocess.run([BIN / "launchd"], env={**os.environ, **words, **access}, capture_output=True, check=True)
    assert (done.stdout.strip(), done.stderr) == (b"", b"")
