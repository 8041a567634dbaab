"""Boot time: it ignores the wall clock, and a moment of another boot has no age."""

import os
import shutil
import subprocess
import sys

import pytest

from ipc.boot_clock import BootClock, BootMoment, boot_id, boot_seconds


class HandClock:
    """A boot and a time that a test sets."""

    def __init__(self) -> None:
        self.boot = "one"
        self.seconds = 100.0

    def clock(self) -> BootClock:
        """Return a clock that shows them."""
        return BootClock(lambda: self.boot, lambda: self.seconds)


def test_a_moment_grows_older_with_boot_time() -> None:
    hand = HandClock()
    clock = hand.clock()
    moment = clock.now()

    hand.seconds = 107.5

    assert moment == BootMoment("one", 100.0)
    assert clock.age(moment) == 7.5


def test_a_moment_of_an_earlier_boot_has_no_age() -> None:
    hand = HandClock()
    clock = hand.clock()
    moment = clock.now()

    hand.boot, hand.seconds = "two", 3.0

    assert clock.age(moment) is None


def test_the_hosts_clock_knows_its_boot_and_goes_on() -> None:
    clock = BootClock()
    before = clock.now()

    assert before.boot == boot_id()
    assert 0 <= (clock.age(before) or 0.0) < 60
    assert before.seconds <= clock.seconds() <= boot_seconds()


def test_the_environment_has_no_part_in_it() -> None:
    moment = BootClock().now()

    script = "from ipc.boot_clock import BootClock; now = BootClock().now(); print(now.boot, now.seconds)"
    environment = os.environ | {"BOOT_ID": "x", "LAUNCHD_BOOT_ID": "x", "LAUNCHD_CLOCK": "0"}
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    boot, seconds = answer.stdout.split()

    assert boot == moment.boot
    assert 0 <= float(seconds) - moment.seconds < 60


@pytest.mark.root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed here")
def test_it_counts_the_time_that_the_host_sleeps() -> None:
    # A time namespace moves boot time alone, as a sleep of the host does; the monotonic clock does not count it.
    script = "import time, ipc.boot_clock as clock; print(clock.boot_seconds() - time.monotonic())"
    command = ["unshare", "--time", "--boottime", "5000", sys.executable, "-c", script]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0 and "unshare" in answer.stderr:
        pytest.skip("this host makes no time namespaces")

    assert float(answer.stdout) > 4000
