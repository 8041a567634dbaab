"""Leases of items to agents: which items, in which order, for how long. PENDING -> LEASED and back.

Each lease has a number (`lease_numbers`) and ends by the store's clock (`clock`).

Order: the agent's queues in turn, and within a queue the highest priority first, then the oldest. A lease that ends
unacknowledged makes its item PENDING again, at its old place.

On PostgreSQL claims run in parallel: rows are taken by locking them, and rows locked by another claim are skipped. No
row is locked without being taken: a claim that looked at that moment would find nothing and wait.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Float, String, bindparam, case, func, literal_column, select, update

from launchd.server.models import LaunchAgent, LeasedItem, Queue, Record, Viewer
from launchd.server.store.accounts.authorization import binds
from launchd.server.store.clock import NOW
from launchd.server.store.launch import lease_numbers
from launchd.server.store.launch.served import is_served
from launchd.server.store.launch.states import LEASED, PENDING, STOPPED
from launchd.server.store.tables import launch_agents, run_queue_items, run_queues

item = run_queue_items.c

# Literals, not parameters: SQLite must see them to use the partial indexes.
IS_WAITING = item.state == literal_column("'PENDING'")
IS_LEASED = item.state == literal_column("'LEASED'")

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
_WAITING = (
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
    .limit(bindparam("most"))
)
_TAKE = _WAITING.with_for_update(of=run_queue_items, skip_locked=True)
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


def claim(connection: Connection, agent: LaunchAgent, wanted: Capacity, lease: Lease) -> list[LeasedItem]:
    """Lease what the agent can take now. A repeated claim id returns what is still leased under it."""
    # A repeated claim must not overtake the first one.
    connection.execute(_SAME_AGENT, {"of_agent": agent.id})
    again = _leased_before(connection, lease)
    if again:
        return again
    queues = _in_turn(agent)
    chosen = [
        *_take_in_turn(connection, lease, queues, wanted.items, scheduler=False),
        *_take_in_turn(connection, lease, queues, wanted.schedulers, scheduler=True),
    ]
    if chosen:
        _remember_turn(connection, agent, chosen[-1].queue_id)
    return _lease(connection, chosen, lease)


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


def _take_in_turn(
    connection: Connection, lease: Lease, queue_ids: Sequence[str], limit: int, *, scheduler: bool
) -> list[Any]:
    """Rows of the queues, taken in turn, in that order."""
    taken: dict[str, list[Any]] = {queue_id: [] for queue_id in queue_ids}
    asked = list(queue_ids)
    while limit > 0 and asked:
        not_empty = []
        for place, queue_id in enumerate(asked):
            share = -(-limit // (len(asked) - place))
            if share == 0:
                break
            # Rows that this transaction has locked are not skipped: they come first.
            had = len(taken[queue_id])
            taken[queue_id] = list(_take(connection, lease, queue_id, had + share, scheduler=scheduler))
            limit -= len(taken[queue_id]) - had
            if len(taken[queue_id]) == had + share:
                not_empty.append(queue_id)
        asked = not_empty
    return [row for row in chain.from_iterable(zip_longest(*taken.values())) if row is not None]


def _take(connection: Connection, lease: Lease, queue_id: str, limit: int, *, scheduler: bool) -> Sequence[Any]:
    return connection.execute(_TAKE, _which(lease, queue_id, limit, scheduler=scheduler)).all()


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
