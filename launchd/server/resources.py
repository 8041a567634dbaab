"""The words for what runs a queue's jobs. Owns which of them a queue can be given; what a host grants is its own."""

from launchd.config.problems import nearest
from launchd.server.errors import Refused

RESOURCES = ("local-process", "local-container", "kubernetes", "sagemaker", "gcp-vertex")
"""What W&B's clients let a queue have; they look before they ask."""

OTHERS = frozenset({"vertex", "fake"})
"""Understood as well: W&B's agent's other word for gcp-vertex, and our agent's runner for trials."""


def check_resource(resource: str) -> None:
    """Check the word for what runs the jobs of a queue that is made or changed.

    Raises:
        Refused: no agent knows it; the message has the nearest and all that are known.
    """
    if resource in OTHERS or resource in RESOURCES:
        return
    meant = nearest(resource[:80], RESOURCES)
    hint = f"Did you mean {meant!r}? " if meant else ""
    raise Refused(f"There is no resource {resource[:80]!r}. {hint}Known are: {', '.join(RESOURCES)}.")
