"""`launchd up` as a service of a user's own systemd, which runs without a login (linger)."""

import shlex
import subprocess

import pytest

from tests.packages.conftest import USER_MANAGER
from tests.packages.jobs import begin, end, run_job
from tests.packages.machine import Machine
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(900)]

UNIT = "launchd-up.service"
#: Beside that of the system's service.
PORT = 8790


class AtHome:
    """A user of a machine, with a systemd of their own."""

    def __init__(self, machine: Machine, user: str) -> None:
        self._machine = machine
        packages = " ".join(USER_MANAGER)
        machine.run(f"DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {packages}")
        machine.run(f"useradd --create-home --shell /bin/bash {user} && loginctl enable-linger {user}")
        self._number = machine.says(f"id -u {user}")
        environment = f"HOME=/home/{user} USER={user} XDG_RUNTIME_DIR=/run/user/{self._number}"
        self._as_user = f"runuser -u {user} -- env {environment} bash -c"
        self.wait_for_systemd()

    def wait_for_systemd(self) -> None:
        """Wait for the user's own systemd."""
        unit = f"user@{self._number}.service"
        wait_until(lambda: self._machine.property(unit, "ActiveState") == "active", 30.0, "the user's systemd")

    def run(self, command: str, *, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a line of shell as the user."""
        return self._machine.run(f"{self._as_user} {shlex.quote(f'cd; {command}')}", check=check, stdin=stdin)

    def says(self, command: str) -> str:
        """Return what a line of shell prints."""
        return self.run(command).stdout.strip()

    def property(self, name: str) -> str:
        """Return a property of the service."""
        return self.says(f"systemctl --user show --value --property={name} {UNIT}")

    def wait_until_it_answers(self) -> None:
        """Wait until the agent of the service answers."""
        wait_until(lambda: self.run("launchd status", check=False).returncode == 0, 40.0, "the agent answers")


def test_launchd_up_is_a_service_until_it_is_removed(serving: Machine) -> None:
    ada = AtHome(serving, "ada")

    ada.run(f"launchd up --install-service --port {PORT} --max-jobs 2")

    ada.wait_until_it_answers()
    assert run_job(ada, "id -un") == ["ada"]
    # A job notices nothing of a restart, and of a death of the service.
    item, process = begin(ada)
    before = ada.property("MainPID")
    ada.run(f"systemctl --user restart {UNIT}")
    ada.wait_until_it_answers()
    ada.run(f"kill -KILL {ada.property('MainPID')}")
    wait_until(lambda: ada.property("NRestarts") == "1", 30.0, "it is started again")
    ada.wait_until_it_answers()
    assert ada.property("MainPID") != before
    end(ada, item, process)

    # With the machine, and no login.
    serving.stop()
    serving.start()
    ada.wait_for_systemd()
    ada.wait_until_it_answers()
    assert item in ada.says("launchd queue show default")
    assert run_job(ada, "echo again") == ["again"]

    ada.run("launchd up --remove-service")
    assert ada.property("LoadState") == "not-found"
    assert ada.run("launchd status", check=False).returncode != 0
