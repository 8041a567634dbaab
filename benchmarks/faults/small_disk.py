"""A disk of a fixed size, which can be filled and emptied again."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from benchmarks.faults.requirements import CannotRun

BLOCK = 2**20


class SmallDisk:
    """A tmpfs at ``mount_point``; it ends with the mount namespace of this process, if not before."""

    def __init__(self, mount_point: Path, mebibytes: int) -> None:
        """Mount it; raises ``CannotRun`` where that is not permitted."""
        mount_point.mkdir(parents=True)
        self._mount_point = mount_point
        self._ballast = mount_point / "ballast"
        try:
            command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(mount_point)]
            subprocess.run(command, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise CannotRun("disk", f"a tmpfs cannot be mounted ({error.stderr.strip()})") from None

    def fill(self) -> None:
        """Leave not a single block free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (BLOCK, 4096):
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)

    def close(self) -> None:
        """Unmount it; what is on it is gone."""
        subprocess.run(["umount", "--lazy", str(self._mount_point)], check=True)

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)
