"""The commands that ask this host's agent, where none runs."""

import os
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
