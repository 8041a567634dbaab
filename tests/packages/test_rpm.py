"""The rpm packages, installed by rpm on a machine that has what they need under other names."""

import shutil
from pathlib import Path

import pytest

from tests.packages.conftest import Built, first_commands
from tests.packages.jobs import AGENT, SERVER
from tests.packages.machine import Machine, machine_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(900)]


def test_what_rpm_installs_serves_until_it_is_erased(base: Path, built_rpm: Built, tmp_path: Path) -> None:
    with machine_of(base, tmp_path / "rpm") as machine:
        machine.run("DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends rpm python3")
        install(machine, built_rpm)

        said = [machine.says(command) for command in first_commands()[1:]]

        assert said[-1].endswith("finished")
        assert [machine.property(unit, "ActiveState") for unit in (AGENT, SERVER)] == ["active", "active"]
        machine.run("rpm --erase --nodeps launch-agent launch-agent-common launch-agent-server")
        assert machine.run("ls /usr/lib/launch-agent/bin/launchd", check=False).returncode != 0
        wait_until(lambda: machine.property(AGENT, "ActiveState") == "inactive", 20.0, "the agent had ended")
        assert machine.says("ls /etc/launch-agent") == "api.key.rpmsave"
        assert (machine.tree / "var/lib/launch-agent-server/server.sqlite").is_file()


def install(machine: Machine, packages: Built) -> None:
    """Install packages; their dependencies are here under the names of another distribution."""
    place = machine.tree / "rpms"
    place.mkdir()
    for package in packages.rpms:
        shutil.copy(package, place)
    machine.run("rpm --install --nodeps /rpms/*.rpm")
