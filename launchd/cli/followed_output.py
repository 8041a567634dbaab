"""The output of a job that was launched, printed as it is while the job is waited for, by a thread of its own."""

import sys
import threading
from collections import deque

from ipc.visible_text import visible
from launchd.cli.remote_output import RemoteOutput, follow_output
from launchd.cli.terminal import echo
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import QueueServer

#: How many lines of a failed job's output are shown where it was not followed, and how much is read for that.
LAST_LINES, LAST_BYTES = 10, 64 * 1024

#: How long the end of an output is waited for after the job's end, in seconds.
END_SECONDS = 20.0


class FollowedOutput(threading.Thread):
    """Prints an item's output as it comes; :meth:`echo` prints lines that are not the job's between its lines."""

    def __init__(self, server: QueueServer, item_id: str) -> None:
        super().__init__(name="output", daemon=True)
        #: How many bytes were printed.
        self.printed = 0
        #: Why the output is not followed, where it is not.
        self.problem: str | None = None
        self._output = RemoteOutput(server, item_id)
        # Why nothing can be printed any more: raised by the thread that waits for the job.
        self._lost: OSError | None = None
        self._printing = threading.Lock()
        self._is_mid_line = False

    def run(self) -> None:
        """Print until the output is complete, or does not come."""
        try:
            for note, content in follow_output(self._output):
                if note is not None:
                    self.echo(note)
                self._write(content)
        except QueueServerError as error:
            self.problem = str(error)
        except OSError as error:
            self._lost = error

    def finish(self) -> None:
        """Wait for the end of the output of a job that is over."""
        self.join(END_SECONDS)
        self._require_output()
        with self._printing:
            self._end_line()

    def echo(self, line: str) -> None:
        """Print a line that is not of the job."""
        self._require_output()
        with self._printing:
            self._end_line()
            echo(line)

    def _require_output(self) -> None:
        """Raise the :class:`OSError` that ended the printing."""
        if self._lost is not None:
            raise self._lost

    def _write(self, content: bytes) -> None:
        if not content:
            return
        with self._printing:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
            self.printed += len(content)
            self._is_mid_line = not content.endswith(b"\n")

    def _end_line(self) -> None:
        if self._is_mid_line:
            self._is_mid_line = False
            echo()


def last_lines(server: QueueServer, item_id: str) -> list[str]:
    """Return the last lines of the output of a job that is over, made visible; none where they cannot be had."""
    output, kept = RemoteOutput(server, item_id), deque[bytes](maxlen=2)
    try:
        for _, content in follow_output(output):
            kept.append(content)
    except QueueServerError:
        return []
    text = b"".join(kept)[-LAST_BYTES:].decode(errors="backslashreplace")
    return [visible(line.rstrip("\r")) for line in text.splitlines()[-LAST_LINES:]]
