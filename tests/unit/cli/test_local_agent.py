"""The commands that speak to this host's agent, where none of ours runs."""

import os
from pathlib import Path

import pytest

from launchd.cli import local_agent
from tests.unit.cli.conftest import Launchd


@pytest.mark.parametrize("words", [("status",), ("logs", "d63e3be6"), ("drain",)])
def test_who_is_not_root_is_told_of_the_system_service(
    words: tuple[str, ...], launchd: Launchd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A socket's path must be short.
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(local_agent, "SYSTEM_STATE_DIR", str(tmp_path / "service"))
    nobody_here = launchd(*words).stderr
    assert nobody_here.startswith("Error: No agent runs here ")
    assert "sudo" not in nobody_here

    (tmp_path / "service").mkdir()
    assert launchd(*words).stderr == f"{nobody_here.rstrip()} That of the system service is root's: ask it with sudo.\n"
    elsewhere = tmp_path / "launch-config.yaml"
    elsewhere.write_text(f"queue: a\nlaunchd: {{state_dir: {tmp_path}}}\n")
    assert "sudo" not in launchd(*words, "-c", str(elsewhere)).stderr
