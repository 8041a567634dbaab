"""What becomes of a job that has no output yet: lines on standard error, beside an output that is printed as it is."""

import time

from launchd.cli.terminal import echo
from launchd.humanize import one_line

#: Before these a job has printed nothing, and what is being done is worth a line.
BEFORE_OUTPUT = frozenset({"queued", "claimed", "fetching", "building", "submitting", "starting"})

#: Lines about the same phase, such as those of a build, come as seldom as this, in seconds.
LINE_SECONDS = 3.0


class JobBeginning:
    """Prints each phase of a job before its output, and now and then what is being done in it."""

    def __init__(self) -> None:
        self._phase = ""
        self._line = ""
        self._printed_at = 0.0

    def show(self, phase: str, message: str | None) -> None:
        """Print that the job is in ``phase``, and the ``message`` on what is being done, where that is news."""
        line = f"{phase}: {one_line(message)}" if message else phase
        is_due = phase != self._phase or time.monotonic() - self._printed_at >= LINE_SECONDS
        if phase not in BEFORE_OUTPUT or line == self._line or not is_due:
            return
        self._phase, self._line, self._printed_at = phase, line, time.monotonic()
        echo(f"[launchd: {line}]", err=True)
