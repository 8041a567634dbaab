"""A small Debian machine under emulation, bare or with this checkout installed, whose power can be cut."""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ROOT / "tests" / "parts" / "vm"

#: Where the checkout is in the machine.
INSTALLED = Path("/opt/launchd")

#: What the machine needs of the checkout.
SOURCES = ("benchmarks", "ipc", "launchd", "tests/__init__.py", "tests/support", "workers")

#: Python's own tools, and what only they need.
NOT_NEEDED = shutil.ignore_patterns(
    "__editable__*",
    "hypothesis*",
    "mypy*",
    "numpy*",
    "pip*",
    "pytest*",
    "ruff*",
    "setuptools*",
    "uv",
    "uv-*",
    "*mypyc*",
)

#: The version of Python in the machine.
PYTHON = (3, 11)

#: A boot, with all that happens in it, takes at most this long, in seconds.
BOOT_SECONDS = 900

#: What runs in the machine, where nothing else is said.
GUEST = "benchmarks.real_cuts.guest"

#: Room on the machine's disk, in MiB.
DISK_MEBIBYTES = 3000


class CannotRun(Exception):
    """The machine cannot run here; the text says why."""


class Emulated:
    """The bare machine, with its disk in ``directory``; it runs only while the lines of a script are read.

    What is laid into ``overlay`` before its first boot is in its file system.
    """

    def __init__(self, directory: Path) -> None:
        """Build what is missing of it, which takes some minutes once.

        Raises:
            CannotRun: it cannot be built here.
        """
        if subprocess.run([PARTS / "build.sh"], check=False).returncode:
            raise CannotRun("The machine cannot be built: it needs root, x86_64, and Debian with its package mirror.")
        self._directory = directory
        self._disk = directory / "disk.img"
        self.overlay = directory / "overlay"

    def run(self, text: str, cut_when: str | None = None, seconds: int = BOOT_SECONDS) -> Iterator[str]:
        """Boot it, and yield what a script with this text prints in it, until that or the machine has ended.

        It is cut as soon as a line has the text ``cut_when`` in it, and ended after so many ``seconds``.
        """
        script = self._directory / "script"
        script.write_text(text)
        command = [str(PARTS / "run.sh"), "--script", str(script), "--disk", str(self._disk)]
        command += ["--overlay", str(self.overlay), "--size", str(DISK_MEBIBYTES), "--timeout", str(seconds)]
        command += ["--cut-when", cut_when] if cut_when is not None else []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield line.rstrip("\n")


class Machine(Emulated):
    """The machine with this checkout installed."""

    def __init__(self, directory: Path) -> None:
        """Build what is missing of it.

        Raises:
            CannotRun: it cannot be built here, or has another Python.
        """
        if sys.version_info[:2] != PYTHON:
            raise CannotRun(f"The machine has Python {PYTHON[0]}.{PYTHON[1]}; run this with the same.")
        super().__init__(directory)
        self._install()

    def boot(
        self, arguments: Iterable[str], cut_when: str | None = None, module: str = GUEST, seconds: int = BOOT_SECONDS
    ) -> Iterator[str]:
        """Boot it, and yield what ``module`` prints in it, as :meth:`run` does."""
        python = INSTALLED / "venv" / "bin" / "python"
        quoted = " ".join(f"'{argument}'" for argument in arguments)
        script = f"#!/bin/sh\ncd {INSTALLED} && exec {python} -m {module} {quoted} 2>&1\n"
        return self.run(script, cut_when, seconds)

    def _install(self) -> None:
        target = self.overlay / INSTALLED.relative_to("/")
        for source in SOURCES:
            copy = target / source
            copy.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, copy)
            else:
                shutil.copy2(ROOT / source, copy)
        venv = target / "venv"
        packages = venv / "lib" / f"python{PYTHON[0]}.{PYTHON[1]}" / "site-packages"
        shutil.copytree(sysconfig.get_path("platlib"), packages, ignore=NOT_NEEDED)
        (packages / "launchd.pth").write_text(f"{INSTALLED}\n")
        (venv / "bin").mkdir()
        (venv / "bin" / "python").symlink_to("/usr/bin/python3")
        (venv / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
