"""A code directory that was uploaded to the queue server as an artifact."""

import logging
import os
import threading
from concurrent.futures import Future
from multiprocessing import connection

from ipc.errors import SourceError
from launchd.client.artifacts import download_artifact
from launchd.client.errors import QueueServerError, ServerBusy, ServerUnreachable
from launchd.client.queue_server import QueueServer
from workers.context import JobContext
from workers.sources import Project

#: Pauses between attempts while the server does not answer, in seconds.
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0)

log = logging.getLogger(__name__)


class CodeSource:
    """Downloads the directory into the job's working directory."""

    def fetch(self, context: JobContext) -> Project:
        """Bring the files; the command is the submitter's.

        Raises:
            SourceError: the artifact cannot be had.
            JobCancelled: the job was stopped meanwhile.
        """
        server = QueueServer(context.order.base_url, context.api_key)
        try:
            _download_with_patience(server, context)
        except (QueueServerError, OSError) as error:
            raise SourceError(
                f"The job's code directory could not be downloaded: {error}",
                hint="Launch the directory again if the server no longer has it.",
            ) from error
        finally:
            server.close()
        return Project(context.work)


def _download_with_patience(server: QueueServer, context: JobContext) -> None:
    for pause in RETRY_SECONDS:
        try:
            _download(server, context)
        except (ServerUnreachable, ServerBusy) as error:
            log.warning("The server did not give out the job's code; trying again.", extra={"error": str(error)})
            connection.wait([context.cancel_fileno()], pause)
            context.raise_if_cancelled()
        else:
            return
    _download(server, context)


def _download(server: QueueServer, context: JobContext) -> None:
    """Download in a thread of its own, which a stop leaves behind; the worker's end is its end."""
    reader, writer = os.pipe()
    done: Future[None] = Future()
    done.add_done_callback(lambda _: os.close(writer))
    artifact = context.order.spec.code_artifact or ""

    def work() -> None:
        try:
            download_artifact(server, artifact, context.work)
            done.set_result(None)
        except Exception as error:  # noqa: BLE001 (raised again by the one who waits)
            done.set_exception(error)

    threading.Thread(target=work, name="download", daemon=True).start()
    try:
        connection.wait([reader, context.cancel_fileno()], context.order.fetch_timeout_seconds)
    finally:
        os.close(reader)
    context.raise_if_cancelled()
    if not done.done():
        raise SourceError(f"The job's code directory did not arrive within {context.order.fetch_timeout_seconds:g} s.")
    done.result()
