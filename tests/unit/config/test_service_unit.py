"""The systemd units: systemd takes them, jobs are spared, and each directive has its reason."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from launchd.agent.job_groups import JOBS_UNIT as JOBS_GROUPS
from launchd.cli.agent import Misconfigured

UNIT = Path(__file__).parents[3] / "launch-agent.service"
JOBS_UNIT = UNIT.with_name("launch-agent-jobs.service")
SERVER_UNIT = UNIT.with_name("launch-agent-server.service")
PROGRAM = "/usr/lib/launch-agent/bin/launchd"

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")


def paragraphs(unit: Path = UNIT) -> list[tuple[str, list[str]]]:
    """The comment above, and the directives below it, in order."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in unit.read_text().splitlines():
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


@pytest.fixture
def installed(tmp_path: Path) -> list[str]:
    """The paths of the units, copied to where their program is there."""
    units = (UNIT, JOBS_UNIT, SERVER_UNIT)
    for unit in units:
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, sys.executable))
    return [str(tmp_path / unit.name) for unit in units]


@needs_systemd
def test_systemd_finds_nothing_wrong(installed: list[str]) -> None:
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *installed], capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize(("index", "threshold"), [(0, 49), (2, 20)], ids=["agent", "server"])
def test_systemd_rates_the_exposure_of(installed: list[str], index: int, threshold: int) -> None:
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={threshold}", installed[index]],
        capture_output=True,
        text=True,
        check=False,
    )

    assert rated.returncode == 0, rated.stdout[-200:]


def test_a_job_that_is_root_cannot_leave_itself_to_other_programs_of_root() -> None:
    directives = [line.split("=", 1) for _, lines in paragraphs() for line in lines]
    paths: dict[str, list[str]] = {name: [] for name, _ in directives}
    for name, value in directives:
        paths[name] += value.replace("-/", "/").split()

    assert {"/run/systemd/private", "/run/dbus/system_bus_socket"} <= set(paths["InaccessiblePaths"])
    assert {"/root", "/var/spool/cron", "/run/systemd", "/var/lib/systemd"} <= set(paths["ReadOnlyPaths"])
    assert paths["ProtectControlGroups"] == ["yes"]


def test_the_groups_of_jobs_belong_to_a_unit_of_their_own() -> None:
    directives = set(JOBS_UNIT.read_text().splitlines())

    assert {"Type=oneshot", "RemainAfterExit=yes", "Delegate=yes", "RefuseManualStop=yes"} <= directives
    assert "Delegate" not in settings()
    assert (settings()["Wants"], JOBS_UNIT.name) == (JOBS_UNIT.name, JOBS_GROUPS)


def test_jobs_outlive_the_agent() -> None:
    unit = settings()

    assert (unit["Type"], unit["NotifyAccess"], unit["KillMode"]) == ("notify", "main", "process")
    assert (unit["OOMPolicy"], unit["TasksMax"], unit["RuntimeDirectoryPreserve"]) == ("continue", "infinity", "yes")
    assert "PrivateTmp" not in unit
    assert "StateDirectory" not in unit
    assert int(unit["WatchdogSec"]) > 0


def test_a_drained_agent_stays_away_and_a_killed_one_comes_back() -> None:
    assert (settings()["Restart"], settings()["StartLimitIntervalSec"]) == ("on-failure", "0")


@pytest.mark.parametrize("unit", [UNIT, SERVER_UNIT], ids=["agent", "server"])
def test_every_directive_of_the_sandbox_has_its_reason(unit: Path) -> None:
    _, _, sandbox = unit.read_text().partition("# --- Sandbox")
    without = [directives for comment, directives in paragraphs(unit) if directives and not comment]

    assert sandbox
    assert without == []


def test_an_agent_with_a_wrong_configuration_is_not_restarted() -> None:
    assert settings()["RestartPreventExitStatus"] == str(Misconfigured.exit_code)
