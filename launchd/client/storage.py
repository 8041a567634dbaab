"""The files of our own queue server, for those who look after it."""

from launchd.client.artifact_models import CollectedGarbage
from launchd.client.errors import Refused
from launchd.client.operations import launchd_protocol
from launchd.client.queue_server import QueueServer

COLLECTION_SECONDS = 600.0


def collect_garbage(server: QueueServer) -> CollectedGarbage:
    """Let the server remove the files that nothing names any more. Raises the four errors of `errors.py`."""
    if not server.capabilities().launchd_protocol:
        raise Refused(f"The server at {server.base_url} is not one of ours: it looks after its files in its own way.")
    return server.transport.call(launchd_protocol.COLLECT_GARBAGE, {"input": {}}, COLLECTION_SECONDS).result
