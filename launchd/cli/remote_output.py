"""The output of a job as the queue server has it: read part by part, and followed to its end."""

import time
from collections.abc import Callable, Iterator

from launchd.client.errors import ServerBusy, ServerUnreachable
from launchd.client.models.outputs import OutputPart
from launchd.client.queue_server import QueueServer

#: How long a request waits at the server for more, and the first one, which the agent has to be told of.
WAIT_SECONDS, FIRST_WAIT_SECONDS = 10.0, 1.0

#: The same where a reader is told of each phase of a job that has no output yet.
TOLD_WAIT_SECONDS = 2.0

#: How long an agent may take to send what a reader begins to look at, and an ended job's last part to arrive.
PATIENCE_SECONDS = 15.0

#: Between two tries at a server that does not answer.
RETRY_SECONDS = 1.0


class RemoteOutput:
    """The output of one item, read on from where it was read last."""

    def __init__(self, server: QueueServer, item_id: str) -> None:
        #: What the server said last; ``None`` before it was asked.
        self.last: OutputPart | None = None
        self._server = server
        self._item_id = item_id
        self._attempt = ""
        self._position = 0
        self._quiet_since = time.monotonic()

    def read(self, wait_seconds: float = 0.0) -> tuple[str | None, bytes]:
        """Return what follows, and a note where something is left out before it; raises ``QueueServerError``.

        There may be nothing after ``wait_seconds``.
        """
        self.last, content = self._server.read_output(self._item_id, self._attempt, self._position, wait_seconds)
        if not content:
            return None, b""
        note = self._gap(self.last)
        self._attempt, self._position = self.last.attempt, self.last.start + len(content)
        self._quiet_since = time.monotonic()
        return note, content

    def _gap(self, part: OutputPart) -> str | None:
        is_new = part.attempt != self._attempt
        if is_new and self._attempt:
            return "[launchd: the job was begun anew]"
        missing = part.start - (0 if is_new else self._position)
        return f"[launchd: {missing} bytes of output are left out here]" if missing > 0 else None

    @property
    def has_begun(self) -> bool:
        """Whether some of it was read."""
        return self._position > 0

    @property
    def is_up_to_date(self) -> bool:
        """Whether all has been read that the agent had when it was last heard, which is just now."""
        part = self.last
        return part is not None and part.is_fresh and self._has_all(part)

    @property
    def is_complete(self) -> bool:
        """Whether nothing will follow."""
        part = self.last
        return part is not None and part.has_ended and part.is_complete and self._has_all(part)

    @property
    def seems_lost(self) -> bool:
        """Whether an agent has, or had, the job, and what it is to send did not come in time."""
        part = self.last
        if part is None or not part.is_sent:
            return part is not None and part.hostname is not None
        is_due = part.has_ended or not part.is_fresh
        return is_due and time.monotonic() - self._quiet_since > PATIENCE_SECONDS

    def _has_all(self, part: OutputPart) -> bool:
        return self._position >= part.size if part.attempt == self._attempt else part.size == 0

    def why_incomplete(self) -> str | None:
        """Return a sentence about an output whose end does not come; ``None`` where nothing is missing."""
        part = self.last
        if part is None or self.is_complete:
            return None
        if part.hostname is None:
            where = "waits in its queue" if part.state == "PENDING" else f"is {part.state.lower()}"
            return f"There is no output: no agent has taken the item, which {where}."
        if not part.is_sent:
            return f"W&B's agent on host {part.hostname} has the job, and sends its output to the job's run alone."
        if not self.seems_lost:
            return None
        return (
            f"The agent on host {part.hostname} does not send {'the rest of ' if self._position else ''}the output: it"
            f" was last heard {part.silent_seconds or 0:.0f} s ago, and may be older than the queue server, or have the"
            f" job no more. On that host: launchd logs {self._item_id}"
        )


def follow_output(
    output: RemoteOutput, before_output: Callable[[], None] | None = None
) -> Iterator[tuple[str | None, bytes]]:
    """Yield the output as it comes, with notes, until it is complete, or does not come any more.

    ``before_output`` is called now and then as long as there is none.

    Raises:
        QueueServerError: the server refuses. While it does not answer, the wait goes on.
    """
    while not output.is_complete and not output.seems_lost:
        try:
            if before_output is None or output.has_begun:
                yield output.read(WAIT_SECONDS)
            else:
                before_output()
                yield output.read(TOLD_WAIT_SECONDS)
        except (ServerUnreachable, ServerBusy):
            time.sleep(RETRY_SECONDS)


def present_output(output: RemoteOutput) -> Iterator[tuple[str | None, bytes]]:
    """Yield the output that there is now, with notes; raises ``QueueServerError``."""
    while not (output.is_complete or output.is_up_to_date or output.seems_lost):
        yield output.read(FIRST_WAIT_SECONDS)
        if output.last is not None and output.last.hostname is None:
            return
