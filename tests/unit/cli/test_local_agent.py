"""The commands that ask this host's agent, where none runs."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launchd.cli import local_agent
from tests.unit.cli.conftest import Launchd


@pytest.mark.parametrize("arguments", [("status",), ("logs", "d63e3be6"), ("drain",)])
def test_the_system_service_is_mentioned_to_users_other_than_root(
    arguments: tuple[str, ...], launchd: Launchd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A socket's path must be short.
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(local_agent, "SYSTEM_STATE_DIR", str(tmp_path / "service"))
    no_agent = launchd(*arguments).stderr
    assert no_agent.startswith("Error: No agent runs here ")
    assert "sudo" not in no_agent

    (tmp_path / "service").mkdir()
    hint = "That of the system service is root's: ask it with sudo."
    assert launchd(*arguments).stderr == f"{no_agent.rstrip()} {hint}\n"
    elsewhere = tmp_path / "launch-config.yaml"
    elsewhere.write_text(f"queue: a\nlaunchd: {{state_dir: {tmp_path}}}\n")
    assert "sudo" not in launchd(*arguments, "-c", str(elsewhere)).stderr


def on_a_terminal(until: bytes, *arguments: str, **environ: str) -> bytes:
    """Return what a command that does not end writes to a terminal until a text has come; then it gets Ctrl-C."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "launchd", *arguments]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **environ}
    ) as process:
        os.close(theirs)
        written = b""
        while until not in written:
            written += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    os.close(ours)
    return written


def test_a_status_that_is_watched_is_redrawn_where_the_terminal_can(tmp_path: Path) -> None:
    config = tmp_path / "launch-config.yaml"
    config.write_text(f"queue: a\nlaunchd: {{state_dir: {tmp_path}}}\n")
    watch = ("status", "-w", "-c", str(config))

    drawn = on_a_terminal(b"No agent runs here", *watch, TERM="xterm")
    plain = on_a_terminal(b"No agent runs here", *watch, TERM="dumb")

    assert b"\x1b[H" in drawn
    assert b"\x1b" not in plain
    assert plain.startswith(b"20")
