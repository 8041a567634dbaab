"""A small Debian whose process 1 is systemd, in a container (systemd-nspawn) without a network."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import psutil

from tests.support.waiting import wait_until

HOME = Path(os.environ.get("SYSTEMD_TEST_HOME", "/var/cache/launchd-systemd"))
BASE = HOME / "root"

BOOT_SECONDS, COMMAND_SECONDS, STOP_SECONDS = 120.0, 300.0, 60.0

#: How much of the console is shown of a machine that did not boot, in characters.
CONSOLE_TAIL = 4000

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
_OPTIONS = ("--quiet", "--boot", "--register=no", "--keep-unit", "--private-network", "--console=read-only")
#: The engine lays its own containers over images, which it cannot where its files are laid over others already.
_FOR_CONTAINERS = ("--system-call-filter=@keyring bpf", "--tmpfs=/var/lib/docker")
#: What says why a machine is not up yet.
_DIAGNOSIS = (
    "timeout 20 sh -c 'systemctl is-system-running; systemctl list-jobs; systemctl --failed; cat /proc/loadavg'"
)


class NotUp(Exception):
    """A machine did not boot; it is not running any more. The text has what it said of itself."""


class Shell(Protocol):
    """Whoever runs lines of shell on a machine."""

    def run(self, command: str, *, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a line of shell."""
        ...

    def says(self, command: str) -> str:
        """Return what a line of shell prints."""
        ...


class Machine:
    """A machine over the directory ``tree``; it runs between :meth:`start` and :meth:`stop`.

    Where ``runs_containers`` it has control groups of version 2, without limits where the host has none, and the system
    calls that a container engine needs.
    """

    def __init__(self, tree: Path, *, runs_containers: bool = False) -> None:
        self.tree = tree
        self._runs_containers = runs_containers
        self.console = tree.with_suffix(".log")
        self._name = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def start(self) -> None:
        """Boot it, and wait until all services are there; raises :class:`NotUp`."""
        self._name = f"packages-{secrets.token_hex(4)}"
        options = (*_OPTIONS, *(_FOR_CONTAINERS if self._runs_containers else ()))
        words = ("systemd-nspawn", *options, f"--directory={self.tree}", f"--machine={self._name}")
        with self.console.open("ab") as log:
            self._process = subprocess.Popen(
                _in_groups_of_its_own(self._name, words),
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": str(int(self._runs_containers))},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._has_process_1, BOOT_SECONDS, "a process 1 of its own")
            wait_until(self._is_up, BOOT_SECONDS, "the start of all services")
        except BaseException as error:
            said = self._diagnosis()
            self.stop()
            raise NotUp(f"{self.tree}: {error}\n{said}") from error

    def _has_process_1(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise NotUp(f"systemd-nspawn ended with {self._process.returncode}")
        # The first child only prepares the one that becomes process 1, and ends.
        children = psutil.Process(self._process.pid).children()
        self._leader = next((child.pid for child in children if _is_process_1(child.pid)), 0)
        return self._leader != 0

    def _is_up(self) -> bool:
        return self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def _diagnosis(self) -> str:
        inside = self.run(_DIAGNOSIS, check=False) if self._leader else None
        console = self.console.read_text(errors="replace")[-CONSOLE_TAIL:]
        return f"{inside.stdout}{inside.stderr}\n{console}" if inside else console

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
        """Shut it down, by force where it does not follow."""
        if self._process is None:
            return
        if self._leader:
            self.run("systemctl poweroff", check=False)
        else:
            self._process.kill()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        self._process, self._leader = None, 0
        _remove_traces(self._name)

    def _kill(self) -> None:
        assert self._process is not None
        for pid in (self._leader, self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)


def copy_tree(source: Path, tree: Path) -> None:
    """Copy the tree of a machine that is not running."""
    subprocess.run(["cp", "--archive", "--reflink=auto", source, tree], check=True)


@contextmanager
def machine_of(source: Path, tree: Path, *, runs_containers: bool = False) -> Iterator[Machine]:
    """Give a running machine over ``source``, whose changes lie apart at ``tree`` and are removed at the end."""
    with _laid_over(source, tree), running(Machine(tree, runs_containers=runs_containers)) as machine:
        yield machine


@contextmanager
def _laid_over(source: Path, tree: Path) -> Iterator[None]:
    changes = tree.with_suffix(".changes")
    for directory in (tree, changes, changes / "upper", changes / "work"):
        directory.mkdir()
    parts = f"lowerdir={source},upperdir={changes / 'upper'},workdir={changes / 'work'}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", parts, tree], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", tree], check=True)
        shutil.rmtree(changes)


@contextmanager
def running(machine: Machine) -> Iterator[Machine]:
    """Boot a machine, and shut it down at the end."""
    machine.start()
    try:
        yield machine
    finally:
        machine.stop()


def _is_process_1(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        numbers = Path(f"/proc/{pid}/status").read_text().partition("\nNSpid:")[2].splitlines()[0].split()
        return len(numbers) > 1 and numbers[-1] == "1"
    return False


def _in_groups_of_its_own(name: str, words: Sequence[str]) -> list[str]:
    """Return a command that runs ``words`` in new control groups.

    Where nspawn registers nothing, all machines of one caller have the same control groups: one systemd would wait for
    the processes of another one, and end them.
    """
    groups = [str(group) for group in _groups(name)]
    enter = 'for group in $1; do mkdir "$group" && echo $$ > "$group/cgroup.procs"; done; shift; exec "$@"'
    return ["sh", "-ec", enter, "sh", " ".join(groups), *words]


def _groups(name: str) -> list[Path]:
    """Return the control groups of a machine: in the hierarchies that systemd itself has its services in."""
    tops = (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
    return [top / name for top in tops if (top / "cgroup.procs").exists()]


def _is_removed(group: Path) -> bool:
    """Remove a control group with all below it; returns whether nothing of it is left."""
    with suppress(OSError):
        for directory, _, _ in os.walk(group, topdown=False):
            Path(directory).rmdir()
    return not group.exists()


def _remove_traces(name: str) -> None:
    for group in _groups(name):
        # A process that has ended may be in it for a moment longer.
        wait_until(partial(_is_removed, group), STOP_SECONDS, f"{group} holds nothing")
    with suppress(FileNotFoundError):
        Path("/run/systemd/nspawn/propagate", name).rmdir()
