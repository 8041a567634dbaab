"""Which words for what runs its jobs a queue can be given. What a host grants is its own."""

from launchd.config.diagnostics import nearest_name
from launchd.resources import RESOURCES, VERTEX
from launchd.server.errors import Refused

OTHERS = frozenset({VERTEX, "fake"})
"""Understood as well: W&B's agent's word, and our agent's runner for trials."""


def check_resource(resource: str) -> None:
    """Check the word for what runs the jobs of a queue that is made or changed.

    Raises:
        Refused: no agent knows it; the message has the nearest and all that are known.
    """
    if resource in OTHERS or resource in RESOURCES:
        return
    meant = nearest_name(resource[:80], RESOURCES)
    hint = f"Did you mean {meant!r}? " if meant else ""
    raise Refused(f"There is no resource {resource[:80]!r}. {hint}Known are: {', '.join(RESOURCES)}.")
