"""GPUs that are set aside: for faults that the driver reported, or because job after job failed on them at once.

What a fault set aside stays so until it is given back by hand. What failures set aside gets another job after a time:
the failures may have been the jobs' own. Kept in the journal.
"""

import logging
from collections.abc import Iterable

import msgspec

from launchd.agent.clock import Clock
from launchd.agent.journal import Journal
from launchd.config.model import GpusConfig

#: A time that grows with each repetition ends here, in seconds.
LONGEST_SECONDS = 86400.0

_KEY = "gpus_set_aside"
_HINT = "`launchd gpus return` gives it back"

log = logging.getLogger(__name__)


class Mark(msgspec.Struct, frozen=True):
    """Why a GPU is set aside, as a sentence, and since when (seconds since the epoch, for people).

    ``repetitions`` counts how often failures have done so in a row; 0: it comes back by hand alone.
    """

    why: str
    since: float
    repetitions: int = 0


class Kept(msgspec.Struct, frozen=True):
    """What the journal keeps: marks, and problems that were accepted by hand, by UUID."""

    marks: dict[str, Mark] = {}
    accepted: dict[str, str] = {}


_decoder = msgspec.json.Decoder(Kept)


class SetAside:
    """Which GPUs are set aside. Main thread only."""

    def __init__(self, config: GpusConfig, journal: Journal, clock: Clock) -> None:
        self._config = config
        self._journal = journal
        self._clock = clock
        self._kept = _read(journal.meta(_KEY))
        #: When those that come back by themselves do so (monotonic seconds); after a restart the time begins anew.
        self._back_at = {
            uuid: clock.monotonic() + self._seconds(mark) for uuid, mark in self._kept.marks.items() if mark.repetitions
        }
        self._failures: dict[str, int] = {}
        self._repetitions: dict[str, int] = {}

    def why(self, uuid: str, problem: str | None) -> str | None:
        """Return why a GPU with this ``problem``, if any, is not given out; ``None`` for one that may be."""
        mark = self._kept.marks.get(uuid)
        if mark is not None:
            return mark.why
        return None if problem is None or self._kept.accepted.get(uuid) == problem else problem

    def on_faults(self, uuid: str, faults: Iterable[int]) -> bool:
        """Set a GPU aside for faults; returns whether it was not before."""
        numbers = ", ".join(map(str, sorted(set(faults))))
        mark = self._kept.marks.get(uuid)
        if not numbers or (mark is not None and not mark.repetitions):
            return False
        self._mark(uuid, Mark(f"its driver reported the fault XID {numbers}; {_HINT}", self._clock.now()))
        return True

    def on_job_end(self, uuid: str, *, failed_at_once: bool, succeeded: bool) -> bool:
        """Count the end of a job on a GPU; returns whether that is set aside now."""
        if succeeded:
            self._failures.pop(uuid, None)
            self._repetitions.pop(uuid, None)
            return False
        limit = self._config.fast_failures
        if not failed_at_once or not limit or uuid in self._kept.marks:
            return False
        self._failures[uuid] = count = self._failures.get(uuid, 0) + 1
        if count < limit:
            return False
        self._repetitions[uuid] = repetitions = self._repetitions.get(uuid, 0) + 1
        seconds = self._config.fast_failure_seconds
        why = f"{count} jobs in a row failed on it within {seconds:g} s; it is tried again later, or {_HINT}"
        self._mark(uuid, Mark(why, self._clock.now(), repetitions))
        return True

    def come_back(self) -> list[str]:
        """Return the GPUs whose time is over; the next failure at once sets each aside again, for longer."""
        now = self._clock.monotonic()
        due = [uuid for uuid, at in self._back_at.items() if at <= now]
        for uuid in due:
            self._failures[uuid] = self._config.fast_failures - 1
            self._unmark(uuid)
        return due

    def give_back(self, uuid: str, problem: str | None) -> bool:
        """Have a GPU given out again, its present ``problem`` notwithstanding; returns whether it was not."""
        was_aside = self.why(uuid, problem) is not None
        self._failures.pop(uuid, None)
        self._repetitions.pop(uuid, None)
        if problem is not None:
            self._keep(msgspec.structs.replace(self._kept, accepted=self._kept.accepted | {uuid: problem}))
        self._unmark(uuid)
        return was_aside

    def _seconds(self, mark: Mark) -> float:
        return min(LONGEST_SECONDS, self._config.set_aside_seconds * (1 << min(mark.repetitions - 1, 16)))

    def _mark(self, uuid: str, mark: Mark) -> None:
        log.error("A GPU is set aside.", extra={"gpu": uuid, "why": mark.why})
        self._back_at.pop(uuid, None)
        if mark.repetitions:
            self._back_at[uuid] = self._clock.monotonic() + self._seconds(mark)
        self._keep(msgspec.structs.replace(self._kept, marks=self._kept.marks | {uuid: mark}))

    def _unmark(self, uuid: str) -> None:
        self._back_at.pop(uuid, None)
        if uuid in self._kept.marks:
            log.info("A GPU is given out again.", extra={"gpu": uuid})
            left = {other: mark for other, mark in self._kept.marks.items() if other != uuid}
            self._keep(msgspec.structs.replace(self._kept, marks=left))

    def _keep(self, kept: Kept) -> None:
        self._kept = kept
        self._journal.set_meta(_KEY, msgspec.json.encode(kept).decode())


def _read(text: str | None) -> Kept:
    try:
        return Kept() if text is None else _decoder.decode(text)
    except msgspec.DecodeError:
        return Kept()
