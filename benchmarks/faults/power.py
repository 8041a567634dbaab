"""The power of two hosts, the agent's and the queue server's, each with a lossy disk of its own.

A cut is one moment: the disks answer no request from then on, so that what processes still do before they are killed
leaves no trace on them. After it the agent's host has another boot id; its clock of boot time, which is the machine's,
goes on.
"""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from benchmarks.faults.lossy_disk.disk import LossyDisk
from benchmarks.faults.requirements import CannotRun

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Power:
    """The disks at ``directory/state`` and ``directory/server/server``, and the boot id in this mount namespace."""

    def __init__(self, stack: ExitStack, directory: Path, mebibytes: int) -> None:
        """Mount the disks of ``mebibytes`` each; ``stack`` ends it all.

        Raises:
            CannotRun: mounting is not permitted.
        """
        self.agent_disk = LossyDisk(directory / "state", mebibytes)
        stack.callback(self.agent_disk.close)
        self.server_disk = LossyDisk(directory / "server" / "server", mebibytes)
        stack.callback(self.server_disk.close)
        self._runtime_dir = directory / "run"
        self._boot_id = directory / "boot-id"
        self._boot_id.write_text(f"{uuid.uuid4()}\n")
        self._cover_boot_id()
        stack.callback(subprocess.run, ["umount", "--lazy", str(BOOT_ID)], check=True)

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of the processes that serve the disks."""
        return (self.agent_disk.pid, self.server_disk.pid)

    @contextmanager
    def cut(self, pick: float, *, agent: bool, server: bool) -> Iterator[None]:
        """Cut the power of one host or both; inside, their processes are killed; afterwards the disks are there again.

        ``pick`` (0 to 1) determines what is left of that which was not synced.
        """
        random = Random(f"power {pick}")
        disks = [disk for disk, is_cut in ((self.agent_disk, agent), (self.server_disk, server)) if is_cut]
        for disk in disks:
            disk.cut(random.getrandbits(32))
        yield
        for disk in disks:
            disk.end()
        for disk in disks:
            disk.mount()
        if agent:
            # Both hosts are this machine, which has one boot id: that of the agent, whose jobs end with it.
            self._renew_boot_id()
        # Most hosts have it in memory; others have it on a disk.
        if agent and random.random() < 0.5:
            shutil.rmtree(self._runtime_dir, ignore_errors=True)

    def _cover_boot_id(self) -> None:
        try:
            command = ["mount", "--bind", str(self._boot_id), str(BOOT_ID)]
            subprocess.run(command, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise CannotRun("power", f"the boot id cannot be covered ({error.stderr.strip()})") from None

    def _renew_boot_id(self) -> None:
        # In one write and in place: it is a mount, and may be read at any time.
        descriptor = os.open(self._boot_id, os.O_WRONLY)
        try:
            os.pwrite(descriptor, f"{uuid.uuid4()}\n".encode(), 0)
        finally:
            os.close(descriptor)


def check_power(groups: Collection[str]) -> None:
    """Raise ``CannotRun`` where a group needs hosts that lose their power, and this namespace permits none."""
    if "power" in groups:
        with ExitStack() as stack:
            Power(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())), mebibytes=1)
