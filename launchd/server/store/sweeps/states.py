"""States of a sweep, under W&B's names.

PENDING -> RUNNING (its first agent) <-> PAUSED -> FINISHED (no new runs) | CANCELED (running ones are stopped too)
                                                      | CRASHED (its scheduler says that it failed)
"""

from launchd.server.errors import Refused

PENDING, RUNNING, PAUSED = "PENDING", "RUNNING", "PAUSED"
FINISHED, CANCELED, CRASHED = "FINISHED", "CANCELED", "CRASHED"

STATES = (PENDING, RUNNING, PAUSED, FINISHED, CANCELED, CRASHED)
ENDED = (FINISHED, CANCELED, CRASHED)


def check_state(state: str) -> str:
    """Raises:
    Refused: no such state.
    """
    if state not in STATES:
        raise Refused(f"{state[:40]!r} is no state of a sweep; known are {', '.join(STATES)}.")
    return state
