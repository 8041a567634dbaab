"""The check of the resource that a queue is given. Which resources a host grants is that host's own policy."""

from ipc.targets import QUEUE_TYPES, find_target
from launchd.config.diagnostics import nearest_name
from launchd.server.errors import Refused


def check_resource(resource: str) -> None:
    """Check the word for what runs the jobs of a queue that is made or changed.

    Raises:
        Refused: no agent knows it; the message has the nearest and all that are known.
    """
    if find_target(resource) is not None:
        return
    meant = nearest_name(resource[:80], QUEUE_TYPES)
    hint = f"Did you mean {meant!r}? " if meant else ""
    raise Refused(f"There is no resource {resource[:80]!r}. {hint}Known are: {', '.join(QUEUE_TYPES)}.")
