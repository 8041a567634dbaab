"""Time since the boot of this host: for order, ages, graces, leases and deadlines, also those kept on disk.

The wall clock jumps whenever it is set; it is for records that people read. Boot time never jumps, goes on while the
host sleeps, and is the same for all processes of the host. It begins anew with each boot, so that a moment kept on disk
has the boot's id beside it. No environment variable has a part in it.
"""

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class BootMoment(msgspec.Struct, frozen=True):
    """A moment, to be kept on disk: ``seconds`` after the beginning of the boot with the id ``boot``."""

    boot: str
    seconds: float


@cache
def boot_id() -> str:
    """Return the random id of this boot of the host; raises :class:`OSError` where the kernel does not say."""
    return _BOOT_ID.read_text().strip()


def boot_seconds() -> float:
    """Return the seconds since this boot of the host, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class BootClock:
    """The host's clock of boot time; tests give it a boot and a clock of their own."""

    def __init__(self, boot: Callable[[], str] = boot_id, seconds: Callable[[], float] = boot_seconds) -> None:
        self._boot = boot
        self._seconds = seconds

    def now(self) -> BootMoment:
        """Return the present moment."""
        return BootMoment(self._boot(), self._seconds())

    def seconds(self) -> float:
        """Return the seconds since the boot."""
        return self._seconds()

    def age(self, moment: BootMoment) -> float | None:
        """Return the seconds since ``moment``, or ``None`` when it was in an earlier boot and that is not known."""
        return self._seconds() - moment.seconds if moment.boot == self._boot() else None
