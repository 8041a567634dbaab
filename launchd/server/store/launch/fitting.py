"""Which waiting items fit an agent's free GPUs, and in which order: the decision behind a claim.

Items are looked at by their demands: the first item of each demand (`Head`) stands for all that ask for the same, so a
decision costs as much as there are different demands, however many items wait.

Order: highest priority first, then the oldest. An item that does not fit is passed by later ones that do, for
`backfill_seconds` from the first time; after that an agent that could fit it, with all its GPUs that are not set
aside, holds its free ones back for it, until it fits. That holds across all queues of the agent that are not paused.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, Integer, String, and_, bindparam, false, func, select, tuple_, update

from ipc.gpus import GpuRequest, GpuSummary
from launchd.server.models import Record
from launchd.server.store.clock import NOW
from launchd.server.store.launch.demands import NONE, compete, decode, held_back, left_after, usable
from launchd.server.store.launch.waiting import IS_WAITING
from launchd.server.store.tables import run_queue_items, run_queues

item = run_queue_items.c
_NO_SCHEDULER = item.is_scheduler == false()
IS_PASSED = and_(IS_WAITING, item.passed_at.is_not(None))
"""Condition on an item: it waits, and later items have been given GPUs that it waits for."""

Position = tuple[int, int]
"""Priority and number: the place of an item among all that wait."""


class Head(Record, frozen=True):
    """The first waiting item of a demand in a queue."""

    queue_id: str
    demand: str
    number: int
    priority: int
    passed_seconds: float | None
    """For how long later items have been given GPUs that an item of this demand waits for; None: none has."""

    @property
    def position(self) -> Position:
        """Its place among all that wait."""
        return (self.priority, self.number)


class Gpus(Record, frozen=True, kw_only=True):
    """The GPUs that an agent offers, and for how long a larger item may be passed, in seconds."""

    summary: GpuSummary
    backfill_seconds: float


def _heads_statement() -> Any:
    """Walks from each demand to the next one by the index, and takes the first item of each.

    Of an item, nothing is read that the index lacks: a large run spec lies before the demand in its row.
    """
    of_queue = (item.queue_id == run_queues.c.id, _NO_SCHEDULER, IS_WAITING)
    first = select(func.min(item.demand)).where(*of_queue).correlate(run_queues).scalar_subquery()
    walk = (
        select(run_queues.c.id.label("queue_id"), first.label("demand"))
        .where(run_queues.c.id.in_(bindparam("of_queues", expanding=True)), run_queues.c.paused_at.is_(None))
        .cte("demands", recursive=True)
    )
    of_walk = (item.queue_id == walk.c.queue_id, _NO_SCHEDULER, IS_WAITING)
    following = select(func.min(item.demand)).where(*of_walk, item.demand > walk.c.demand)
    walk = walk.union_all(
        select(walk.c.queue_id, following.correlate(walk).scalar_subquery()).where(walk.c.demand.is_not(None))
    )
    same = (item.queue_id == walk.c.queue_id, item.demand == walk.c.demand)
    number = select(item.number).where(*same, _NO_SCHEDULER, IS_WAITING).order_by(item.priority, item.number).limit(1)
    priority = select(func.min(item.priority)).where(*same, _NO_SCHEDULER, IS_WAITING)
    passed = select(func.min(item.passed_at)).where(*same, IS_PASSED).correlate(walk).scalar_subquery()
    return select(
        walk.c.queue_id,
        walk.c.demand,
        number.correlate(walk).scalar_subquery(),
        priority.correlate(walk).scalar_subquery(),
        # In a query of its own, the clock is read once and not for each row.
        select(NOW).scalar_subquery() - passed,
    ).where(walk.c.demand.is_not(None))


_HEADS = _heads_statement()
_AFTER_PRIORITY = bindparam("after_priority", type_=Integer)
_AFTER_NUMBER = bindparam("after_number", type_=BigInteger)
_NEXT = (
    select(item.priority, item.number)
    .where(
        item.queue_id == bindparam("of_queue"),
        _NO_SCHEDULER,
        IS_WAITING,
        item.demand == bindparam("of_demand", type_=String),
        tuple_(item.priority, item.number) > tuple_(_AFTER_PRIORITY, _AFTER_NUMBER),
    )
    .order_by(item.priority, item.number)
    .limit(1)
)
# Those that another claim takes at this moment are skipped.
_TO_NOTE = (
    select(item.number)
    .where(item.number.in_(bindparam("of_numbers", expanding=True)), IS_WAITING, item.passed_at.is_(None))
    .with_for_update(skip_locked=True)
)
_NOTE_PASSED = update(run_queue_items).where(item.number.in_(_TO_NOTE)).values(passed_at=NOW).returning(item.queue_id)


def heads_of(connection: Connection, queue_ids: Sequence[str]) -> list[Head]:
    """The first item of each demand that waits in one of these queues."""
    rows = connection.execute(_HEADS, {"of_queues": list(queue_ids)})
    return [Head(*row) for row in rows]


def next_head(connection: Connection, before: Head, after: Position) -> Head | None:
    """The first item after this place among those that ask for the same in the same queue.

    A demand is passed anew once its first item is given out.
    """
    which = {
        "of_queue": before.queue_id,
        "of_demand": before.demand,
        "after_priority": after[0],
        "after_number": after[1],
    }
    row = connection.execute(_NEXT, which).first()
    if row is None:
        return None
    return msgspec.structs.replace(before, number=row.number, priority=row.priority, passed_seconds=None)


def note_passed(connection: Connection, passed: Iterable[Head]) -> set[str]:
    """Note that later items are given GPUs that these wait for. Returns the queues of those that were not before."""
    numbers = {head.number for head in passed if head.passed_seconds is None}
    return set(connection.execute(_NOTE_PASSED, {"of_numbers": list(numbers)}).scalars()) if numbers else set()


class Choice(Record, frozen=True, kw_only=True):
    """An item to give out next."""

    head: Head
    passed: tuple[Head, ...] = ()
    """Items before it that wait for GPUs which it is given."""


class Candidates:
    """What an agent with these GPUs may be given, as items are given to it one after the other."""

    def __init__(self, heads: Iterable[Head], gpus: Gpus) -> None:
        self._heads = {(head.queue_id, head.demand): head for head in heads}
        self._free = gpus.summary
        self._whole = usable(gpus.summary)
        self._backfill_seconds = gpus.backfill_seconds

    @property
    def have_demands(self) -> bool:
        """Whether any of the items asks for GPUs."""
        return any(demand != NONE for _, demand in self._heads)

    def choose(self, queue_id: str) -> Choice | None:
        """The first item of this queue that fits beside those that GPUs are held back for."""
        free, passed = self._free, list[Head]()
        for head in self._in_order():
            is_here = head.queue_id == queue_id
            if head.demand == NONE:
                if is_here:
                    return Choice(head=head)
                continue
            if not free.free:
                # What is free is only reduced from here on: items without GPUs alone are left to choose from.
                continue
            request = decode(head.demand)
            fits = free.fits_now(request)
            if fits and is_here:
                return Choice(head=head, passed=self._competing(passed, free, request))
            if self.is_overdue(head) and self._whole.fits_ever(request):
                free = left_after(free, request) if fits else held_back(free, request)
            elif not fits:
                passed.append(head)
        return None

    def _competing(self, heads: Iterable[Head], free: GpuSummary, request: GpuRequest) -> tuple[Head, ...]:
        """Those of the items that wait for GPUs which the request may be given."""
        waiting = ((head, decode(head.demand)) for head in heads)
        return tuple(head for head, asked in waiting if compete(free, request, asked) and self._whole.fits_ever(asked))

    def is_overdue(self, head: Head) -> bool:
        """Whether the item is not to be passed any more."""
        return head.passed_seconds is not None and head.passed_seconds >= self._backfill_seconds

    def holder(self, position: Position, demand: str) -> Head | None:
        """The item for which the agent holds GPUs back that an item at this place would fit into now; None: none."""
        request, free = decode(demand), self._free
        for head in self._in_order():
            if head.position >= position or not free.fits_now(request):
                break
            if head.demand != NONE and self.is_overdue(head) and self._whole.fits_ever(decode(head.demand)):
                wanted = decode(head.demand)
                free = left_after(free, wanted) if free.fits_now(wanted) else held_back(free, wanted)
                if not free.fits_now(request):
                    return head
        return None

    def bound(self, head: Head) -> Position | None:
        """The place of the next item of another demand in the same queue: so far items may be taken together."""
        later = (other.position for other in self._heads.values() if other.queue_id == head.queue_id)
        return min((position for position in later if position > head.position), default=None)

    def give(self, head: Head) -> None:
        """Count the GPUs of an item as given."""
        if head.demand != NONE:
            self._free = left_after(self._free, decode(head.demand))

    def replace(self, head: Head, following: Head | None) -> None:
        """Go on to the next item of a demand."""
        if following is None:
            del self._heads[head.queue_id, head.demand]
        else:
            self._heads[head.queue_id, head.demand] = following

    def _in_order(self) -> Iterator[Head]:
        return iter(sorted(self._heads.values(), key=lambda head: head.position))
