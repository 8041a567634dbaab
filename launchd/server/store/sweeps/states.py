"""States of a sweep, under W&B's names.

PENDING -> RUNNING (its first agent) <-> PAUSED -> FINISHED (no new runs) | CANCELED (running ones are stopped too)
"""

from launchd.server.errors import Refused

PENDING, RUNNING, PAUSED = "PENDING", "RUNNING", "PAUSED"
FINISHED, CANCELED = "FINISHED", "CANCELED"

STATES = (PENDING, RUNNING, PAUSED, FINISHED, CANCELED)
ENDED = (FINISHED, CANCELED)


def check_state(state: str) -> str:
    """Raises:
    Refused: no such state.
    """
    if state not in STATES:
        raise Refused(f"{state[:40]!r} is no state of a sweep; known are {', '.join(STATES)}.")
    return state
