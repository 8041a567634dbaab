"""Which GPUs of its host an agent may give out: each is one agent's, for as long as that runs. Main thread only.

An agent takes what it sees first. What another agent has becomes free with its end, and is taken after a time in which
a restarted one could have taken it again: its jobs run on meanwhile.
"""

import logging
from collections.abc import Iterable

from launchd.agent.clock import Clock
from launchd.agent.host_locks import HostLocks, agent_words

#: How long a GPU of an agent that has ended is left to its next start, in seconds.
RESTART_SECONDS = 60.0

log = logging.getLogger(__name__)


class GpuClaims:
    """The GPUs that this agent has to itself, by UUID."""

    def __init__(self, locks: HostLocks, clock: Clock) -> None:
        self._locks = locks
        self._clock = clock
        self._own: set[str] = set()
        #: The process that else has a GPU, and since when none has, by UUID.
        self._others: dict[str, int] = {}
        self._free_since: dict[str, float] = {}

    def look(self, uuids: Iterable[str]) -> None:
        """Take what can be taken of the GPUs that there are."""
        for uuid in [uuid for uuid in uuids if uuid not in self._own]:
            try:
                self._look_at(uuid)
            except OSError as error:
                # Without locks, the processes on a GPU still tell.
                log.warning("A GPU cannot be kept from other agents of this host.", extra={"why": str(error)})
                self._own.add(uuid)

    def why_not(self, uuid: str) -> str | None:
        """Return why a GPU is not this agent's to give out, as the end of a sentence."""
        other = self._others.get(uuid)
        return None if other is None else f"{agent_words(other)} gives it out"

    def _look_at(self, uuid: str) -> None:
        name = f"gpu-{uuid.replace('/', '-')}"
        is_new = uuid not in self._others
        if not is_new:
            holder = self._locks.holder(name)
            if holder is not None:
                self._others[uuid] = holder
                self._free_since.pop(uuid, None)
                return
            if self._clock.monotonic() - self._free_since.setdefault(uuid, self._clock.monotonic()) < RESTART_SECONDS:
                return
        self._take(uuid, name)

    def _take(self, uuid: str, name: str) -> None:
        other = self._locks.take(name)
        if other is None:
            self._own.add(uuid)
            self._others.pop(uuid, None)
        else:
            log.warning("A GPU is another agent's.", extra={"gpu": uuid, "pid": other})
            self._others[uuid] = other
            self._free_since.pop(uuid, None)
