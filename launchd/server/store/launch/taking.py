"""Taking waiting items for a lease: their rows, locked, in the order in which they are due.

On PostgreSQL claims run in parallel: rows are taken by locking them, and rows locked by another claim are skipped. No
row is locked without being taken, because a claim that looked at that moment would find nothing and wait; where one is
(`fitting.note_passed`), waiting claims look again.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, String, bindparam, select, tuple_

from launchd.server.models import Record, Viewer
from launchd.server.store.accounts.authorization import binds
from launchd.server.store.launch import fitting
from launchd.server.store.launch.demands import NONE
from launchd.server.store.launch.served import is_served
from launchd.server.store.launch.states import LOWEST_PRIORITY
from launchd.server.store.launch.waiting import IS_WAITING
from launchd.server.store.tables import run_queue_items, run_queues

item = run_queue_items.c
_AGENT = bindparam("of_agent", type_=String)
_OF_QUEUE = (
    select(
        item.number,
        item.id,
        item.queue_id,
        item.priority,
        item.run_spec,
        item.submitter_id,
        item.author_id,
        item.created_at,
        run_queues.c.name.label("queue_name"),
    )
    .join(run_queues, run_queues.c.id == item.queue_id)
    .where(
        item.queue_id == bindparam("of_queue"),
        item.is_scheduler == bindparam("scheduler"),
        IS_WAITING,
        run_queues.c.paused_at.is_(None),
        is_served(bindparam("of_queue", type_=String), _AGENT),
    )
    .order_by(item.priority, item.number)
)
_WAITING = _OF_QUEUE.limit(bindparam("most"))
_TAKE = _WAITING.with_for_update(of=run_queue_items, skip_locked=True)
_TAKE_WITHOUT_GPUS = _WAITING.where(item.demand == NONE).with_for_update(of=run_queue_items, skip_locked=True)
_POSITION = tuple_(item.priority, item.number)
_TAKE_PLAIN = (
    _OF_QUEUE.where(
        item.demand == NONE,
        tuple_(bindparam("from_priority"), bindparam("from_number")) <= _POSITION,
        tuple_(bindparam("below_priority"), bindparam("below_number")) > _POSITION,
    )
    .limit(bindparam("most"))
    .with_for_update(of=run_queue_items, skip_locked=True)
)
_TAKE_ONE = _OF_QUEUE.where(item.number == bindparam("of_number")).with_for_update(of=run_queue_items, skip_locked=True)
_THE_END: fitting.Position = (LOWEST_PRIORITY + 1, 0)


class Lease(Record, frozen=True, kw_only=True):
    """Who gets an item, for which viewer, and for how long."""

    viewer: Viewer
    agent_id: str | None
    claim_id: str | None
    seconds: float


Take = Callable[[str, int], list[Any]]
"""Takes the first items of a queue, so many; those that it has taken before come first."""


def taker(connection: Connection, lease: Lease, *, scheduler: bool, gpus: bool = True) -> Take:
    """Takes items of one kind; without `gpus` those that ask for none."""
    statement = _TAKE if gpus else _TAKE_WITHOUT_GPUS

    def take(queue_id: str, limit: int) -> list[Any]:
        # Rows that this transaction has locked are not skipped: they come first.
        return list(connection.execute(statement, _which(lease, queue_id, limit, scheduler=scheduler)))

    return take


def first_waiting(connection: Connection, lease: Lease, queue_id: str, *, scheduler: bool) -> fitting.Position | None:
    """The place of the first item of one kind."""
    row = connection.execute(_WAITING, _which(lease, queue_id, 1, scheduler=scheduler)).first()
    return (row.priority, row.number) if row else None


class FittingTaker:
    """Takes items that fit the agent's GPUs, one after the other; those without GPUs many at once."""

    def __init__(self, connection: Connection, lease: Lease, queue_ids: Sequence[str], gpus: fitting.Gpus) -> None:
        self._connection = connection
        self._lease = lease
        self._candidates = fitting.Candidates(fitting.heads_of(connection, queue_ids), gpus)
        self._taken: defaultdict[str, list[Any]] = defaultdict(list)
        self._passed: list[fitting.Head] = []
        self._released: set[str] = set()

    @property
    def has_demands(self) -> bool:
        """Whether any waiting item asks for GPUs."""
        return self._candidates.have_demands

    def take(self, queue_id: str, limit: int) -> list[Any]:
        """As `Take`."""
        taken = self._taken[queue_id]
        while len(taken) < limit and (choice := self._candidates.choose(queue_id)):
            if choice.head.demand == NONE:
                taken += self._take_plain(choice.head, limit - len(taken))
            else:
                taken += self._take_demand(choice)
        return taken

    def note_passed(self) -> frozenset[str]:
        """Note which items were passed. Returns the queues whose waiting claims are to look again.

        GPUs that are held back for an item are free for others once it is given out.
        """
        return frozenset(self._released | fitting.note_passed(self._connection, self._passed))

    def _take_plain(self, head: fitting.Head, limit: int) -> Sequence[Any]:
        bound = self._candidates.bound(head) or _THE_END
        places = {
            "from_priority": head.priority,
            "from_number": head.number,
            "below_priority": bound[0],
            "below_number": bound[1],
        }
        rows = self._execute(_TAKE_PLAIN, head, most=limit, **places)
        last = (rows[-1].priority, rows[-1].number) if rows else bound
        self._candidates.replace(head, fitting.next_head(self._connection, head, last))
        return rows

    def _take_demand(self, choice: fitting.Choice) -> Sequence[Any]:
        head = choice.head
        rows = self._execute(_TAKE_ONE, head, of_number=head.number)
        self._candidates.replace(head, fitting.next_head(self._connection, head, head.position))
        if rows:
            self._candidates.give(head)
            self._passed += choice.passed
            if head.passed_seconds is not None:
                self._released.add(head.queue_id)
        return rows

    def _execute(self, statement: Any, head: fitting.Head, **values: Any) -> Sequence[Any]:
        which = {"of_queue": head.queue_id, "scheduler": False, "of_agent": self._lease.agent_id}
        return self._connection.execute(statement, which | values | binds(self._lease.viewer)).all()


def _which(lease: Lease, queue_id: str, limit: int, *, scheduler: bool) -> dict[str, Any]:
    which = {"of_queue": queue_id, "scheduler": scheduler, "most": limit, "of_agent": lease.agent_id}
    return which | binds(lease.viewer)
