"""Leases of items to agents: which items, in which order, for how long. PENDING -> LEASED and back.

Each lease has a number (`lease_numbers`) and ends by the store's clock (`clock`).

Order: the agent's queues in turn, and within a queue the highest priority first, then the oldest. A lease that ends
unacknowledged makes its item PENDING again, at its old place. An agent that says which GPUs it has free is given what
fits (`fitting`), any other the first ones.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Float, String, bindparam, case, func, select, update

from launchd.server.models import LaunchAgent, LeasedItem, Queue, Record, Viewer
from launchd.server.store.accounts.authorization import binds
from launchd.server.store.clock import NOW
from launchd.server.store.launch import fitting, lease_numbers
from launchd.server.store.launch.served import is_served
from launchd.server.store.launch.states import LEASED, PENDING, STOPPED
from launchd.server.store.launch.taking import FittingTaker, Lease, Take, first_waiting, taker
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


class Capacity(Record, frozen=True, kw_only=True):
    """How many items an agent can take; schedulers of sweeps are counted apart."""

    items: int
    schedulers: int


class Claimed(Record, frozen=True, kw_only=True):
    """What a claim leased, and the queues whose waiting claims are to look again because of it."""

    items: tuple[LeasedItem, ...] = ()
    to_look: frozenset[str] = frozenset()


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
    # Where no GPU is free, the others need not be looked at.
    is_choosy = gpus is not None and gpus.summary.free > 0 and wanted.items > 0
    fits = FittingTaker(connection, lease, queues, gpus) if gpus is not None and is_choosy else None
    # Where nothing asked for GPUs a moment ago, something may by now.
    take = taker(connection, lease, scheduler=False, gpus=gpus is None)
    chosen = [
        *_take_in_turn(fits.take if fits and fits.has_demands else take, queues, wanted.items),
        *_take_in_turn(taker(connection, lease, scheduler=True), queues, wanted.schedulers),
    ]
    if chosen:
        _remember_turn(connection, agent, chosen[-1].queue_id)
    to_look = fits.note_passed() if fits else frozenset[str]()
    return Claimed(items=tuple(_lease(connection, chosen, lease)), to_look=to_look)


def pop(connection: Connection, queue: Queue, lease: Lease) -> LeasedItem | None:
    """Lease the first item of one queue, of either kind."""
    heads = {kind: first_waiting(connection, lease, queue.id, scheduler=kind) for kind in (False, True)}
    for kind in sorted((kind for kind, head in heads.items() if head), key=lambda kind: heads[kind] or ()):
        leased = _lease(connection, taker(connection, lease, scheduler=kind)(queue.id, 1), lease)
        if leased:
            return leased[0]
    return None


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


def _take_in_turn(take: Take, queue_ids: Sequence[str], limit: int) -> list[Any]:
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


def _lease(connection: Connection, rows: Iterable[Any], lease: Lease) -> list[LeasedItem]:
    """Lease rows that this transaction has locked, so that nothing else can have taken them."""
    by_number = {row.number: row for row in rows}
    if not by_number:
        return []
    given = dict(zip(by_number, lease_numbers.take(connection, len(by_number)), strict=True))
    values: dict[str, Any] = {
        "to_agent": lease.agent_id,
        "to_claim": lease.claim_id,
        "now": time.time(),
        "seconds": lease.seconds,
    }
    connection.execute(_LEASE, [{"of_number": row, "new_lease": given[row], **values} for row in by_number])
    now = values["now"]
    return [_leased_item(row, given[number], max(0.0, now - row.created_at)) for number, row in by_number.items()]


def _leased_item(row: Any, lease: int, waited_seconds: float | None = None) -> LeasedItem:
    return LeasedItem(
        number=row.number,
        item_id=row.id,
        has_submitter=row.submitter_id is not None and row.author_id is not None,
        queue_name=row.queue_name,
        run_spec=msgspec.Raw(row.run_spec),
        lease=lease,
        waited_seconds=waited_seconds,
    )


def return_expired(connection: Connection) -> list[str]:
    """Make items PENDING whose lease has ended. Returns the queue that each went back to."""
    if connection.execute(_EXPIRED_EXIST).first() is None:
        return []
    # Skips those that are being acknowledged at this moment.
    expired = select(item.number).where(IS_LEASED, _IS_EXPIRED).with_for_update(skip_locked=True)
    return [queue_id for _, queue_id in _return(connection, {}, item.number.in_(expired))]


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
