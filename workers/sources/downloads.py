"""Downloads a job's files from the queue server: with retries, within the time for fetching, interruptible.

Owns the pauses between attempts and the thread. What is asked for is the caller's.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from itertools import chain, repeat
from multiprocessing import connection
from typing import TypeVar

from ipc.errors import SourceError
from launchd.client.errors import QueueServerError, ServerBusy, ServerUnreachable
from launchd.client.queue_server import QueueServer
from workers.context import JobContext

#: Pauses between attempts while the server does not answer, in seconds; the last one again and again.
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0)

T = TypeVar("T")

log = logging.getLogger(__name__)


def from_server(context: JobContext, subject: str, work: Callable[[QueueServer], T]) -> T:
    """Return what ``work`` returns; ``subject`` is what it brings, as in "The job's code directory".

    Raises:
        SourceError: the server does not have it, does not answer, or it cannot be written to the disk.
        JobCancelled: the job was stopped meanwhile.
    """
    server = QueueServer(context.order.base_url, context.api_key)
    try:
        return _patiently(context, lambda: _within_time(context, subject, lambda: work(server)))
    except (QueueServerError, OSError) as error:
        raise SourceError(
            f"{subject} could not be downloaded: {error}",
            hint="See that its name is right and that the server still has it, then launch it again.",
        ) from error
    finally:
        server.close()


def _patiently(context: JobContext, attempt: Callable[[], T]) -> T:
    deadline = time.monotonic() + context.order.supervision.fetch_timeout_seconds
    pauses = chain(RETRY_SECONDS, repeat(RETRY_SECONDS[-1]))
    while True:
        try:
            return attempt()
        except (ServerUnreachable, ServerBusy) as error:
            pause = next(pauses)
            if time.monotonic() + pause > deadline:
                raise
            log.warning("The server did not give out the job's files; trying again.", extra={"error": str(error)})
            connection.wait([context.signal_fileno()], pause)
            context.raise_if_interrupted()


def _within_time(context: JobContext, subject: str, work: Callable[[], T]) -> T:
    """Work in a thread of its own, which a stop leaves behind; the worker's end is its end."""
    reader, writer = os.pipe()
    done: Future[T] = Future()
    done.add_done_callback(lambda _: os.close(writer))

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 (raised again by the one who waits)
            done.set_exception(error)

    threading.Thread(target=run, name="download", daemon=True).start()
    try:
        connection.wait([reader, context.signal_fileno()], context.order.supervision.fetch_timeout_seconds)
    finally:
        os.close(reader)
    context.raise_if_interrupted()
    if not done.done():
        raise SourceError(f"{subject} did not arrive within {context.order.supervision.fetch_timeout_seconds:g} s.")
    return done.result()
