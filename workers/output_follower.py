"""Carries the output of a workload whose target keeps it into the files of its job.

Owns one thread beside the job's. How a target is asked for its output is the runner's.
"""

import logging
import threading

from ipc.errors import RunnerUnavailable
from ipc.handles import Handle
from workers.output import OutputWriter
from workers.runners import Runner

#: From a target that did not answer to the next question, in seconds.
RETRY_SECONDS = 5.0

log = logging.getLogger(__name__)


class OutputFollower(threading.Thread):
    """Follows the output of one workload to its end."""

    def __init__(self, runner: Runner, handle: Handle, writer: OutputWriter) -> None:
        super().__init__(name="output", daemon=True)
        self._runner = runner
        self._workload = handle
        self._writer = writer

    def run(self) -> None:
        """Follow the output; a target that does not answer is asked again, from where the writer stands."""
        pause = threading.Event()
        while not self._follow():
            pause.wait(RETRY_SECONDS)

    def finish(self, seconds: float) -> bool:
        """Wait for the rest of an ended workload's output, ``seconds`` at most while none comes.

        Returns whether all of it is there.
        """
        before = -1
        while self.is_alive() and self._writer.position != before:
            before = self._writer.position
            self.join(seconds)
        return not self.is_alive()

    def _follow(self) -> bool:
        """Return whether the output was followed to its end, or cannot be followed at all."""
        try:
            self._runner.follow_output(self._workload, self._writer)
        except RunnerUnavailable as error:
            log.warning("The target does not give out the job's output.", extra={"error": error.message})
            return False
        except Exception:
            # The job itself goes on: its output is not worth its end.
            log.exception("The job's output cannot be followed.")
        return True
