"""A small Debian whose process 1 is systemd, in a container (systemd-nspawn) without a network."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.waiting import wait_until

HOME = Path(os.environ.get("SYSTEMD_TEST_HOME", "/var/cache/launchd-systemd"))
BASE = HOME / "root"

BOOT_SECONDS, COMMAND_SECONDS, STOP_SECONDS = 60.0, 300.0, 60.0

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}


class Machine:
    """A machine over the directory ``tree``; it runs between :meth:`start` and :meth:`stop`."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def start(self) -> None:
        """Boot it, and wait until all services are there."""
        options = ("--quiet", "--boot", "--register=no", "--keep-unit", "--private-network", "--console=read-only")
        with self.tree.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(
                ["systemd-nspawn", *options, f"--directory={self.tree}", "--machine=packages"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        parent = psutil.Process(self._process.pid)
        self._leader = wait_until(lambda: [child.pid for child in parent.children()], BOOT_SECONDS, "it booted")[0]
        wait_until(self._is_up, BOOT_SECONDS, "systemd was up")

    def _is_up(self) -> bool:
        return self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def run(self, command: str, *, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a line of shell in it, as root."""
        inside = ("nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
        words = (*inside, "env", "-i", *(f"{name}={value}" for name, value in _ENVIRONMENT.items()))
        done = subprocess.run(
            [*words, "bash", "-c", f"cd /root; {command}"],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def says(self, command: str) -> str:
        """Return what a line of shell prints."""
        return self.run(command).stdout.strip()

    def install(self, packages: Sequence[Path], extra: str = "") -> str:
        """Install packages and what they depend on, and nothing that they merely recommend."""
        place = self.tree / "debs"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for package in packages:
            shutil.copy(package, place)
        apt = f"DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {extra}"
        return self.run(f"{apt} /debs/*.deb 2>&1").stdout

    def property(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.says(f"systemctl show --value --property={name} {unit}")

    def stop(self) -> None:
        """Shut it down."""
        if self._process is None:
            return
        self.run("systemctl poweroff", check=False)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            psutil.Process(self._leader).kill()
            self._process.wait(STOP_SECONDS)
        self._process = None


@contextmanager
def machine_of(source: Path, tree: Path) -> Iterator[Machine]:
    """Give a running machine over a copy of ``source``, which is removed at the end."""
    subprocess.run(["cp", "--archive", "--reflink=auto", source, tree], check=True)
    machine = Machine(tree)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
        shutil.rmtree(tree)
