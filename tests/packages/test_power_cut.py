"""The packages on a machine with limits whose power is cut while jobs run: what ended is told so, what ran is told too.

It is emulated (``tests/parts/vm``), which takes some minutes; ``power_guest.py`` is what is done in it.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.real_cuts.machine import CannotRun, Emulated
from tests.packages import power_guest
from tests.packages.conftest import Built, first_commands
from tests.packages.jobs import AGENT, CONFIG
from tests.support import guest_host
from tests.support.parts import missing_part

#: For one boot with all that happens in it, on a busy machine.
BOOT_SECONDS = 3000

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(2 * BOOT_SECONDS + 300)]

#: What a job says that its host's power cut has ended.
RESTARTED = "The host was restarted while the job ran"

GUEST = "/usr/lib/launch-agent/bin/python /srv/power_guest.py"
LIMITS = "  jobs: {limits: {memory: 64 MiB, processors: 1, processes: 40}, stop_grace_seconds: 2}"
#: The commands that the documentation names, but for its first job; then the limits of jobs.
INSTALL = """#!/bin/sh
exec 2>&1
set -e
export HOME=/root
cd /srv
{commands}
printf '%s\\n' '{limits}' >> {config}
systemctl reload {agent}
exec {guest} launch
"""


def test_after_a_power_cut_everything_is_told_as_it_was(built: Built, tmp_path: Path) -> None:
    machine = machine_with(built, tmp_path)
    installation = "\n".join(first_commands()[:-1])
    script = INSTALL.format(commands=installation, limits=LIMITS, config=CONFIG, agent=AGENT, guest=GUEST)

    before = lines_of(machine.run(script, "CUT", BOOT_SECONDS))
    items = dict(line.split()[1:] for line in before if line.startswith("PUSHED "))
    after = lines_of(machine.run(f"#!/bin/sh\nexec {GUEST} ends {' '.join(items.values())} 2>&1\n", None, BOOT_SECONDS))

    said = "\n".join([*before, *after])
    assert (before[-1], after[-1]) == ("CUT", "DONE"), said
    assert [line for line in (*before, *after) if line.startswith("FAILED ")] == [], said
    told = {words[1]: words[2:] for words in (line.split(" ", 4) for line in after if line.startswith("ENDED "))}
    for number, (_, code) in (power_guest.ENDING | power_guest.WAITING).items():
        assert told[items[str(number)]][:2] == ["FAILED" if code else "FINISHED", str(code)], said
    for number in power_guest.RUNNING:
        state, _, message = told[items[str(number)]]
        assert (state, message.startswith(RESTARTED)) == ("FAILED", True), said
    # Each ran once, and those that had ended have not changed their story.
    assert sorted(line.split()[1] for line in (*before, *after) if line.startswith("RUN ")) == sorted(items), said
    assert [line for line in before if line.startswith("ENDED ")] == [
        line for line in after if line.startswith("ENDED ")
    ][: len(power_guest.ENDING)], said


def machine_with(built: Built, directory: Path) -> Emulated:
    """Return a machine that was not booted yet, with the packages at hand."""
    try:
        machine = Emulated(directory)
    except CannotRun as error:
        missing_part(str(error))
    place = machine.overlay / "srv"
    support = place / "tests" / "support"
    support.mkdir(parents=True)
    for package in (support, support.parent):
        (package / "__init__.py").touch()
    shutil.copy(guest_host.__file__, support)
    for file in (*built.debs, Path(power_guest.__file__)):
        shutil.copy(file, place)
    unit = machine.overlay / "etc/systemd/system" / f"{AGENT}.d"
    unit.mkdir(parents=True)
    (unit / "patience.conf").write_text(guest_host.PATIENT_UNIT)
    return machine


def lines_of(said: Iterator[str]) -> list[str]:
    """Return the lines, shown as they come where output is not captured."""
    lines = []
    for line in said:
        print(line, flush=True)  # noqa: T201
        lines.append(line)
    return lines
