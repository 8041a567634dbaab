"""Measures what a running job has written into its own directories, and says when that is more than it may.

A process of the job's user measures, so that nothing with more rights goes through the job's trees. The job can end
that process, and make trees that cannot be measured: it is ended as well where that goes on.
"""

import logging
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ipc.errors import JobError
from ipc.sizes import format_size
from ipc.trees import start_tool
from ipc.work_order import JobUser

#: The shortest pause between two measurements, in seconds, and how many times longer than the last one it is.
PAUSE_SECONDS = 10.0
_PAUSE_FACTOR = 10.0

#: How long one may take, in seconds.
TIMEOUT_SECONDS = 600.0

#: How many may fail in a row until the job is ended.
FAILURES = 3

#: The key of ``launch-config.yaml`` that limits plain processes.
_USUAL_KEY = "launchd.jobs.limits.disk"

log = logging.getLogger(__name__)


class DiskMeter:
    """Measures ``directories`` of one job again and again as ``user``, None for this process's; never waits.

    ``limit`` is in bytes, ``key`` what sets it in ``launch-config.yaml``.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        user: JobUser | None,
        limit: int,
        clock: Callable[[], float] = time.monotonic,
        key: str = _USUAL_KEY,
    ) -> None:
        self._key = key
        self._directories = directories
        self._user = user
        self._limit = limit
        self._clock = clock
        self._waiting: list[Path] = []
        self._taken = 0
        self._seconds = 0.0
        self._began = self._due = clock()
        self._failures = 0
        self._tool: subprocess.Popen[bytes] | None = None

    def why_too_much(self) -> JobError | None:
        """Return why the job is to be ended, None for no reason; starts the next measurement where it is due."""
        if self._tool is not None:
            return self._look(self._tool)
        if self._clock() >= self._due:
            self._began, self._taken, self._seconds = self._clock(), 0, 0.0
            self._waiting = list(self._directories)
            return self._go_on()
        return None

    def close(self) -> None:
        """End the measurement that is under way, if there is one."""
        if self._tool is not None:
            self._end(self._tool)

    def _go_on(self) -> JobError | None:
        """Measure the next directory, if there is one."""
        if not self._waiting:
            self._failures = 0
            self._pause()
            return None
        directory = self._waiting.pop()
        left = str(self._limit - self._taken)
        try:
            self._tool = start_tool("measure", directory, self._user, left, stdout=subprocess.PIPE)
        except FileNotFoundError:
            # The job has removed it.
            return self._go_on()
        except OSError as error:
            return self._failed(error.strerror or str(error))
        return None

    def _look(self, tool: subprocess.Popen[bytes]) -> JobError | None:
        if tool.poll() is None and self._clock() - self._began < TIMEOUT_SECONDS:
            return None
        is_over = tool.poll() is not None
        out, said = self._end(tool)
        if tool.returncode or not is_over:
            return self._failed(_why_failed(tool.returncode, said, is_over=is_over))
        # What it says of itself: when it ended is not known so well.
        taken, seconds = out.split()
        self._taken += int(taken)
        self._seconds += float(seconds)
        return self._go_on() if self._taken <= self._limit else TooMuchDisk(self._limit, self._key)

    def _end(self, tool: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        self._tool = None
        tool.kill()
        # It writes no more than a line, which a pipe takes without a reader.
        return tool.communicate()

    def _failed(self, why: str) -> JobError | None:
        self._failures += 1
        self._pause()
        log.warning("What the job has written could not be measured.", extra={"error": why})
        return None if self._failures < FAILURES else NotMeasured(why)

    def _pause(self) -> None:
        self._due = self._clock() + max(PAUSE_SECONDS, _PAUSE_FACTOR * self._seconds)


def _why_failed(code: int, said: bytes, *, is_over: bool) -> str:
    if not is_over:
        return f"it was not done after {TIMEOUT_SECONDS:g} s"
    if code < 0:
        return f"the process that does so was ended by signal {-code}"
    return said.decode(errors="replace").strip()[:300] or f"the process that does so ended with exit code {code}"


class TooMuchDisk(JobError):
    """The job has written more than it may."""

    stage = "run"

    def __init__(self, limit: int, key: str) -> None:
        super().__init__(
            f"The job was stopped: what it has written takes more than its limit of {format_size(limit)} of disk.",
            hint=f"Have the job write less, or elsewhere; {key} is this host's limit.",
        )


class NotMeasured(JobError):
    """A job with a limit of disk makes it impossible to say what it takes."""

    stage = "run"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The job was stopped: it has a limit of disk, and what it has written could not be measured {FAILURES} "
            f"times in a row ({why}).",
            hint="Directories have to stay readable for the job's own user.",
        )
