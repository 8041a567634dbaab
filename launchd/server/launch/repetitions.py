"""What agents have just been told: an answer that they cannot act on at once must not be given again and again."""

import time
from collections.abc import Hashable

REPEAT_SECONDS = 10.0


class Repetitions:
    """Per agent, the last thing it was told and when. Used on the event loop only."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[Hashable, float]] = {}

    def is_due(self, agent_id: str, what: Hashable) -> bool:
        """Whether the agent is to be told this now: it is new, or was told `REPEAT_SECONDS` ago. Notes that it is."""
        now = time.monotonic()
        before = self._told.get(agent_id)
        if before is not None and before[0] == what and now - before[1] < REPEAT_SECONDS:
            return False
        self._told[agent_id] = (what, now)
        return True

    def forget(self, agent_id: str) -> None:
        """Note that there is nothing to tell the agent."""
        self._told.pop(agent_id, None)
