"""Limits of jobs and the end of their groups on a host with systemd and control groups of version 2: a real machine.

It is emulated (``tests/parts/vm``), which takes some minutes; ``tests/support/limits_guest.py`` is what is tried in it.
"""

import shutil
from pathlib import Path

import pytest

from benchmarks.real_cuts.machine import INSTALLED, ROOT, CannotRun, Machine
from tests.support import guest_host

#: For all checks together, on a busy machine.
SECONDS = 2700


@pytest.mark.root
@pytest.mark.long
@pytest.mark.timeout(SECONDS + 300)
def test_limits_and_ends_of_groups_on_a_real_machine(tmp_path: Path) -> None:
    try:
        machine = Machine(tmp_path)
    except CannotRun as error:
        pytest.skip(str(error))
    install_units(machine.overlay)

    lines = []
    for line in machine.boot((), module="tests.support.limits_guest", seconds=SECONDS):
        print(line, flush=True)  # noqa: T201 (with -s, to be watched)
        lines.append(line)

    said = [line for line in lines if line.startswith(("OK ", "FAILED ", "DONE"))]
    assert said[-1:] == ["DONE"], "\n".join(lines)
    assert [line for line in said if line.startswith("FAILED")] == [], "\n".join(lines)


def install_units(overlay: Path) -> None:
    """Install the agent's units and its command into the tree of the machine."""
    units = overlay / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    for name in ("launch-agent.service", "launch-agent-jobs.service"):
        shutil.copy2(ROOT / name, units / name)
    (units / "launch-agent.service.d").mkdir()
    (units / "launch-agent.service.d" / "patience.conf").write_text(guest_host.PATIENT_UNIT)
    command = overlay / "usr" / "lib" / "launch-agent" / "bin" / "launchd"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {INSTALLED}/venv/bin/python -m launchd "$@"\n')
    command.chmod(0o755)
