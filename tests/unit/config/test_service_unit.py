"""The systemd unit: systemd takes it, it spares the jobs, and it gives a reason for each directive."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from launchd.cli.agent import Misconfigured

UNIT = Path(__file__).parents[3] / "launch-agent.service"
PROGRAM = "/opt/launchd/bin/launchd"


def paragraphs() -> list[tuple[str, list[str]]]:
    """The comment above, and the directives below it, in order."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in UNIT.read_text().splitlines():
        if line.startswith("#") or not line:
            if found[-1][1]:
                found.append(("", []))
            found[-1] = (found[-1][0] + line, [])
        elif not line.startswith("["):
            found[-1][1].append(line)
    return found


def settings() -> dict[str, str]:
    lines = [line for _, directives in paragraphs() for line in directives]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))

    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stderr) == (0, "")


def test_jobs_outlive_the_agent() -> None:
    unit = settings()

    assert (unit["Type"], unit["NotifyAccess"], unit["KillMode"]) == ("notify", "main", "process")
    assert (unit["OOMPolicy"], unit["TasksMax"], unit["RuntimeDirectoryPreserve"]) == ("continue", "infinity", "yes")
    assert "PrivateTmp" not in unit
    assert int(unit["WatchdogSec"]) > 0


def test_a_drained_agent_stays_away_and_a_killed_one_comes_back() -> None:
    assert (settings()["Restart"], settings()["StartLimitIntervalSec"]) == ("on-failure", "0")


def test_every_directive_of_the_sandbox_has_its_reason() -> None:
    _, _, sandbox = UNIT.read_text().partition("# --- Sandbox")
    without = [directives for comment, directives in paragraphs() if directives and not comment]

    assert sandbox
    assert without == []


def test_an_agent_with_a_wrong_configuration_is_not_restarted() -> None:
    assert settings()["RestartPreventExitStatus"] == str(Misconfigured.exit_code)
