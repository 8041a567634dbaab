"""A lossy disk as its user sees it."""

import subprocess
import sys
from pathlib import Path

from benchmarks.faults.requirements import CannotRun


class LossyDisk:
    """A file system at ``mount_point`` that loses what was not synced when its power is cut.

    Its files are in the memory of a process; nothing is left when that ends. It can be filled and emptied again.
    """

    def __init__(self, mount_point: Path, mebibytes: int) -> None:
        """Mount it; raises ``CannotRun`` where that is not permitted."""
        mount_point.mkdir(parents=True)
        self.mount_point = mount_point
        command = [sys.executable, "-m", "benchmarks.faults.lossy_disk", str(mount_point), str(mebibytes * 2**20)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        answer = self._ask("mount")
        if answer != "mount":
            self.close()
            raise CannotRun("power", f"a FUSE file system cannot be mounted ({answer})")

    def cut(self, seed: int) -> None:
        """Cut the power: what is not safe is lost but for what ``seed`` chooses; all use of a file waits from now on.

        Processes that wait so end by SIGKILL only.
        """
        self._ask(f"cut {seed}")

    def end(self) -> None:
        """After a cut: end all waiting with an error, and unmount the disk."""
        self._ask("end")

    def mount(self) -> None:
        """Mount it again, with what is left."""
        answer = self._ask("mount")
        if answer != "mount":
            raise RuntimeError(f"The lossy disk could not be mounted again: {answer}.")

    def fill(self) -> None:
        """Leave not a single block free."""
        self._ask("fill")

    def empty(self) -> None:
        """Give the room back."""
        self._ask("empty")

    def close(self) -> None:
        """Unmount it; what is on it is gone."""
        if self._process.poll() is None:
            self._process.communicate()

    def _ask(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        return answer or "its process has ended"
