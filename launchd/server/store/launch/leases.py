"""Leases of items to agents: which items, in which order, for how long. PENDING -> LEASED and back.

Each lease has a number (`lease_numbers`) and ends by the store's clock (`clock`).

Order: the agent's queues in turn, and within a queue the highest priority first, then the oldest. A lease that ends
unacknowledged makes its item PENDING again, at its old place. An agent that says which GPUs it has free is given what
fits (`fitting`), any other the first ones.

On PostgreSQL claims run in parallel: rows are taken by locking them, and rows locked by another claim are skipped. No
row is locked without being taken, because a claim that looked at that moment would find nothing and wait; where one is
(`fitting.note_passed`), waiting claims look again.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Float, String, bindparam, case, func, select, tuple_, update

from launchd.server.models import LaunchAgent, LeasedItem, Queue, Record, Viewer
from launchd.server.store.accounts.authorization import binds
from launchd.server.store.clock import NOW
from launchd.server.store.launch import fitting, lease_numbers
from launchd.server.store.launch.demands import NONE
from launchd.server.store.launch.served import is_served
from launchd.server.store.launch.states import LEASED, LOWEST_PRIORITY, PENDING, STOPPED
from launchd.server.store.launch.waiting import IS_LEASED, IS_WAITING
from launchd.server.store.tables import launch_agents, run_queue_items, run_queues

item = run_queue_items.c

_AGENT = bindparam("of_agent", type_=String)
_LEASED_BEFORE = (
    select(
        item.number,
        item.id,
        item.run_spec,
        item.submitter_id,
        item.author_id,
        item.lease_number,
        run_queues.c.name.label("queue_name"),
    )
    .join(run_queues, run_queues.c.id == item.queue_id)
    .where(
        item.agent_id == bindparam("of_agent"),
        IS_LEASED,
        item.claim_id == bindparam("of_claim"),
        is_served(item.queue_id, _AGENT),
    )
    .order_by(item.number)
)
_OF_QUEUE = (
    select(
        item.number,
        item.id,
        item.queue_id,
        item.priority,
        item.run_spec,
        item.submitter_id,
        item.author_id,
        run_queues.c.name.label("queue_name"),
    )
    .join(run_queues, run_queues.c.id == item.queue_id)
    .where(
        item.queue_id == bindparam("of_queue"),
        item.is_scheduler == bindparam("scheduler"),
        IS_WAITING,
        is_served(bindparam("of_queue", type_=String), _AGENT),
    )
    .order_by(item.priority, item.number)
)
_WAITING = _OF_QUEUE.limit(bindparam("most"))
_TAKE = _WAITING.with_for_update(of=run_queue_items, skip_locked=True)
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
_LEASE = (
    update(run_queue_items)
    .where(item.number == bindparam("of_number"), IS_WAITING)
    .values(
        state=LEASED,
        agent_id=bindparam("to_agent"),
        claim_id=bindparam("to_claim"),
        lease_number=bindparam("new_lease"),
        leased_at=bindparam("now"),
        lease_ends_at=NOW + bindparam("seconds", type_=Float),
    )
)
_IS_EXPIRED = item.lease_ends_at <= NOW
_EXPIRED_EXIST = select(item.number).where(IS_LEASED, _IS_EXPIRED).limit(1)
_NEXT_END = select(func.min(item.lease_ends_at) - NOW).where(IS_LEASED)
_SAME_AGENT = select(launch_agents.c.id).where(launch_agents.c.id == bindparam("of_agent")).with_for_update()


class Lease(Record, frozen=True, kw_only=True):
    """Who gets an item, for which viewer, and for how long."""

    viewer: Viewer
    agent_id: str | None
    claim_id: str | None
    seconds: float


class Capacity(Record, frozen=True, kw_only=True):
    """How many items an agent can take; schedulers of sweeps are counted apart."""

    items: int
    schedulers: int


class Claimed(Record, frozen=True, kw_only=True):
    """What a claim leased, and the queues whose waiting claims are to look again because of it."""

    items: tuple[LeasedItem, ...] = ()
    to_look: frozenset[str] = frozenset()


_Take = Callable[[str, int], list[Any]]
"""Takes the first items of a queue, so many; those that it has taken before come first."""


def claim(
    connection: Connection, agent: LaunchAgent, wanted: Capacity, lease: Lease, gpus: fitting.Gpus | None = None
) -> Claimed:
    """Lease what the agent can take now, of jobs only those that fit `gpus`; None: any.

    A repeated claim id returns what is still leased under it.
    """
    # A repeated claim must not overtake the first one.
    connection.execute(_SAME_AGENT, {"of_agent": agent.id})
    again = _leased_before(connection, lease)
    if again:
        return Claimed(items=tuple(again))
    queues = _in_turn(agent)
    taker = _FittingTaker(connection, lease, queues, gpus) if gpus and wanted.items else None
    take = taker.take if taker and taker.has_demands else _taker(connection, lease, scheduler=False)
    chosen = [
        *_take_in_turn(take, queues, wanted.items),
        *_take_in_turn(_taker(connection, lease, scheduler=True), queues, wanted.schedulers),
    ]
    if chosen:
        _remember_turn(connection, agent, chosen[-1].queue_id)
    to_look = taker.note_passed() if taker else frozenset[str]()
    return Claimed(items=tuple(_lease(connection, chosen, lease)), to_look=to_look)


def pop(connection: Connection, queue: Queue, lease: Lease) -> LeasedItem | None:
    """Lease the first item of one queue, of either kind."""
    heads = {kind: _first_waiting(connection, lease, queue.id, scheduler=kind) for kind in (False, True)}
    for kind in sorted((kind for kind, head in heads.items() if head), key=lambda kind: heads[kind] or ()):
        leased = _lease(connection, _take(connection, lease, queue.id, 1, scheduler=kind), lease)
        if leased:
            return leased[0]
    return None


def _first_waiting(connection: Connection, lease: Lease, queue_id: str, *, scheduler: bool) -> tuple[int, int] | None:
    """What the order depends on: priority and number."""
    row = connection.execute(_WAITING, _which(lease, queue_id, 1, scheduler=scheduler)).first()
    return (row.priority, row.number) if row else None


def _leased_before(connection: Connection, lease: Lease) -> list[LeasedItem]:
    which = {"of_agent": lease.agent_id, "of_claim": lease.claim_id, **binds(lease.viewer)}
    rows = connection.execute(_LEASED_BEFORE, which)
    return [_leased_item(row, row.lease_number) for row in rows]


def _in_turn(agent: LaunchAgent) -> list[str]:
    first = agent.next_queue % max(1, len(agent.queue_ids))
    return [*agent.queue_ids[first:], *agent.queue_ids[:first]]


def _remember_turn(connection: Connection, agent: LaunchAgent, last: str) -> None:
    following = agent.queue_ids.index(last) + 1
    if len(agent.queue_ids) > 1:
        connection.execute(update(launch_agents).where(launch_agents.c.id == agent.id).values(next_queue=following))


def _take_in_turn(take: _Take, queue_ids: Sequence[str], limit: int) -> list[Any]:
    """Rows of the queues, taken in turn, in that order."""
    taken: dict[str, list[Any]] = {queue_id: [] for queue_id in queue_ids}
    asked = list(queue_ids)
    while limit > 0 and asked:
        not_empty = []
        for place, queue_id in enumerate(asked):
            share = -(-limit // (len(asked) - place))
            if share == 0:
                break
            had = len(taken[queue_id])
            taken[queue_id] = take(queue_id, had + share)
            limit -= len(taken[queue_id]) - had
            if len(taken[queue_id]) == had + share:
                not_empty.append(queue_id)
        asked = not_empty
    return [row for row in chain.from_iterable(zip_longest(*taken.values())) if row is not None]


def _taker(connection: Connection, lease: Lease, *, scheduler: bool) -> _Take:
    # Rows that this transaction has locked are not skipped: they come first.
    return lambda queue_id, limit: list(_take(connection, lease, queue_id, limit, scheduler=scheduler))


def _take(connection: Connection, lease: Lease, queue_id: str, limit: int, *, scheduler: bool) -> Sequence[Any]:
    return connection.execute(_TAKE, _which(lease, queue_id, limit, scheduler=scheduler)).all()


class _FittingTaker:
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
        """As `_Take`."""
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


def _lease(connection: Connection, rows: Iterable[Any], lease: Lease) -> list[LeasedItem]:
    """Lease rows that this transaction has locked, so that nothing else can have taken them."""
    by_number = {row.number: row for row in rows}
    if not by_number:
        return []
    given = dict(zip(by_number, lease_numbers.take(connection, len(by_number)), strict=True))
    values = {
        "to_agent": lease.agent_id,
        "to_claim": lease.claim_id,
        "now": time.time(),
        "seconds": lease.seconds,
    }
    connection.execute(_LEASE, [{"of_number": row, "new_lease": given[row], **values} for row in by_number])
    return [_leased_item(row, given[number]) for number, row in by_number.items()]


def _leased_item(row: Any, lease: int) -> LeasedItem:
    return LeasedItem(
        number=row.number,
        item_id=row.id,
        has_submitter=row.submitter_id is not None and row.author_id is not None,
        queue_name=row.queue_name,
        run_spec=msgspec.Raw(row.run_spec),
        lease=lease,
    )


def return_expired(connection: Connection) -> set[str]:
    """Make items PENDING whose lease has ended. Returns the queues they went back to."""
    if connection.execute(_EXPIRED_EXIST).first() is None:
        return set()
    # Skips those that are being acknowledged at this moment.
    expired = select(item.number).where(IS_LEASED, _IS_EXPIRED).with_for_update(skip_locked=True)
    return {queue_id for _, queue_id in _return(connection, {}, item.number.in_(expired))}


def next_lease_end(connection: Connection) -> float | None:
    """In how many seconds the next lease ends; None where nothing is leased."""
    return connection.execute(_NEXT_END).scalar()


def return_items(
    connection: Connection, viewer: Viewer, agent_id: str, item_ids: Sequence[str]
) -> list[tuple[str, str]]:
    """Return those of the items that are leased to the agent. Returns their ids and queues."""
    return _return_of(connection, viewer, agent_id, item.id.in_(item_ids))


def return_leases(
    connection: Connection, viewer: Viewer, agent_id: str, numbers: Sequence[int]
) -> list[tuple[str, str]]:
    """As `return_items`, for leases: an item that was leased to the agent again meanwhile stays with it."""
    return _return_of(connection, viewer, agent_id, item.lease_number.in_(numbers))


def return_unknown(
    connection: Connection, viewer: Viewer, agent_id: str, known: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the agent's leased items that it does not know of. Returns their ids and queues."""
    return _return_of(connection, viewer, agent_id, item.id.not_in(known))


def _return_of(
    connection: Connection, viewer: Viewer, agent_id: str, condition: ColumnElement[bool]
) -> list[tuple[str, str]]:
    values = {"of_agent": agent_id, **binds(viewer)}
    return _return(connection, values, item.agent_id == _AGENT, is_served(item.queue_id, _AGENT), condition)


def _return(connection: Connection, values: Mapping[str, Any], *conditions: Any) -> list[tuple[str, str]]:
    now = time.time()
    rows = connection.execute(
        update(run_queue_items)
        .where(IS_LEASED, *conditions)
        .values(
            **_UNLEASED,
            # A stop may have been requested while an agent held the item.
            state=case((item.stop_requested, STOPPED), else_=PENDING),
            finished_at=case((item.stop_requested, now)),
        )
        .returning(item.id, item.queue_id),
        values,
    )
    return [(row.id, row.queue_id) for row in rows]


_UNLEASED: dict[str, Any] = {
    "agent_id": None,
    "claim_id": None,
    "leased_at": None,
    "lease_ends_at": None,
    "report_sequence": None,
    "status": None,
    "phase": None,
    "message": None,
}
