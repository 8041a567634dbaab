"""What the server holds as an agent's, compared with what the agent says it holds.

`settle` makes both agree when an agent resumes; `differences` finds out at each heartbeat whether they do.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, String, bindparam, select, update

from launchd.server.errors import Refused
from launchd.server.models import (
    AgentIdentity,
    HeldByServer,
    HeldItem,
    Item,
    ItemAnswer,
    ItemResult,
    LaunchAgent,
    Viewer,
)
from launchd.server.store.accounts.authorization import binds
from launchd.server.store.launch import acknowledgements, agents, lease_numbers, restored
from launchd.server.store.launch.served import is_served
from launchd.server.store.launch.states import CLAIMED, ENDED, HELD, LEASED, PENDING
from launchd.server.store.savepoints import each
from launchd.server.store.tables import run_queue_items, run_queues

item = run_queue_items.c
_AGENT, _TO_AGENT = bindparam("of_agent", type_=String), bindparam("to_agent", type_=String)

_CLAIMED_BY = (
    select(item.id, item.lease_number, item.run_name, run_queues.c.name.label("queue_name"))
    .join(run_queues, run_queues.c.id == item.queue_id)
    .where(item.agent_id == _AGENT, item.state == CLAIMED, is_served(item.queue_id, _AGENT))
    .order_by(item.number)
)
_SHOWN = select(item.id, item.state, item.agent_id, item.lease_number).where(
    item.id.in_(bindparam("ids", expanding=True)), is_served(item.queue_id, _AGENT)
)
_MOVE_ALL = (
    update(run_queue_items)
    .where(item.agent_id == _AGENT, item.state.in_(HELD), is_served(item.queue_id, _TO_AGENT))
    .values(agent_id=_TO_AGENT)
)
_MOVE = _MOVE_ALL.where(item.id == bindparam("of_id"))


class Resumption(msgspec.Struct, frozen=True):
    """An agent that resumes, and how far the server trusts what it says."""

    viewer: Viewer
    agent_id: str
    identity: AgentIdentity
    timeout_seconds: float


class Differences(msgspec.Struct, frozen=True):
    """What an agent and the server disagree about."""

    unknown_to_agent: list[HeldByServer]
    must_resume: bool
    is_restored: bool = False
    """The agent knows what this database has forgotten; see `restored`."""


def take_over(connection: Connection, resumption: Resumption, previous_ids: Sequence[str]) -> None:
    """Give the agent what its earlier registrations hold, also those that it does not name.

    Ids that the viewer may not use are ignored.

    Raises:
        SecondIncarnation: another living process is one of those that it names.
    """
    unnamed = agents.predecessors(connection, resumption.viewer, resumption.agent_id, resumption.timeout_seconds)
    for previous_id in dict.fromkeys((*previous_ids, *unnamed)):
        earlier = agents.find_agent(connection, resumption.viewer, previous_id)
        if earlier is None or earlier.id == resumption.agent_id:
            continue
        agents.check_successor(earlier, resumption.identity, resumption.timeout_seconds)
        moved = {"of_agent": earlier.id, "to_agent": resumption.agent_id, **binds(resumption.viewer)}
        connection.execute(_MOVE_ALL, moved)
        agents.leave(connection, earlier.id)


def settle(connection: Connection, resumption: Resumption, held: Sequence[HeldItem]) -> list[ItemResult]:
    """Settle each item that the agent says it holds. Returns the answers in the same order."""

    def one(connection: Connection, shown: HeldItem) -> ItemResult:
        return _settle_one(connection, resumption, shown)

    def refused(connection: Connection, shown: HeldItem, reason: Refused) -> ItemResult:  # noqa: ARG001 - as `each` calls it
        return ItemResult(item_id=shown.item_id, answer=ItemAnswer.REFUSED, message=str(reason))

    return each(connection, held, one, refused)


def _settle_one(connection: Connection, resumption: Resumption, shown: HeldItem) -> ItemResult:
    found = restored.find_item(connection, resumption.viewer, resumption.agent_id, shown.item_id, lease=shown.lease)
    answer = _settled(connection, resumption, found, shown)
    message = acknowledgements.explain(connection, found, answer)
    return ItemResult(item_id=shown.item_id, answer=answer, message=message)


def _settled(connection: Connection, resumption: Resumption, found: Item | None, shown: HeldItem) -> ItemAnswer:
    if found is None:
        return ItemAnswer.UNKNOWN
    if found.state in ENDED:
        return ItemAnswer.OVER
    if not _is_agents(connection, resumption, found, shown):
        return ItemAnswer.LEASE_ENDED
    if found.state != CLAIMED and shown.acknowledged:
        name = shown.run_name or found.run_name or ""
        lease = shown.lease or found.lease_number
        acknowledgements.claim(connection, resumption.viewer, found, name, agent_id=resumption.agent_id, lease=lease)
    return ItemAnswer.TAKEN


def _is_agents(connection: Connection, resumption: Resumption, found: Item, shown: HeldItem) -> bool:
    """Whether the item is the agent's, or becomes it now."""
    if found.state == PENDING:
        # Only a restored database has forgotten an acknowledgement.
        return shown.acknowledged
    if not acknowledgements.is_of_lease(found, resumption.agent_id, shown.lease):
        return False
    if found.agent_id == resumption.agent_id:
        return True
    holder = agents.find_agent(connection, resumption.viewer, found.agent_id or "")
    if holder is not None and not _is_succeeded(holder, resumption.identity, resumption.timeout_seconds):
        return False
    values = {"of_id": found.id, "of_agent": found.agent_id, "to_agent": resumption.agent_id}
    return connection.execute(_MOVE, values | binds(resumption.viewer)).rowcount > 0


def _is_succeeded(holder: LaunchAgent, identity: AgentIdentity, timeout_seconds: float) -> bool:
    same = holder.incarnation is not None and holder.incarnation in (identity.incarnation, identity.previous)
    return same or not agents.is_living(holder, timeout_seconds)


def unknown_to(connection: Connection, viewer: Viewer, agent_id: str, held: Sequence[HeldItem]) -> list[HeldByServer]:
    """The items that the agent has acknowledged and does not say that it holds, under their present lease."""
    shown = {one.item_id: one.lease for one in held}
    return [
        HeldByServer(item_id=row.id, lease=row.lease_number, queue_name=row.queue_name, run_name=row.run_name)
        for row in connection.execute(_CLAIMED_BY, {"of_agent": agent_id, **binds(viewer)})
        if shown.get(row.id, -1) not in (0, row.lease_number)
    ]


def differences(
    connection: Connection, viewer: Viewer, found: LaunchAgent, held: Sequence[HeldItem], timeout_seconds: float
) -> Differences:
    """Compare what a living agent says it holds with what is known here; changes nothing."""
    which = {"ids": [shown.item_id for shown in held], "of_agent": found.id, **binds(viewer)}
    rows = {row.id: row for row in connection.execute(_SHOWN, which)} if held else {}
    pairs = [(shown, rows[shown.item_id]) for shown in held if shown.item_id in rows]
    is_restored = _shows_the_future(connection, held) or any(_is_forgotten(found, shown, row) for shown, row in pairs)
    must_resume = (
        is_restored
        or found.status == agents.KILLED
        or bool(agents.predecessors(connection, viewer, found.id, timeout_seconds))
        or any(_can_move(connection, viewer, found, shown, row, timeout_seconds) for shown, row in pairs)
    )
    return Differences(unknown_to(connection, viewer, found.id, held), must_resume, is_restored)


def _shows_the_future(connection: Connection, held: Sequence[HeldItem]) -> bool:
    given = lease_numbers.highest(connection) if held else 0
    return any(lease_numbers.is_from_the_future(shown.lease, given) for shown in held)


def _is_forgotten(found: LaunchAgent, shown: HeldItem, row: Any) -> bool:
    """Whether only a restored database can have forgotten what the agent says: it has acknowledged the item."""
    if row.state == LEASED:
        return shown.acknowledged and row.agent_id == found.id and row.lease_number == shown.lease
    return shown.acknowledged and row.state == PENDING


def _can_move(
    connection: Connection, viewer: Viewer, found: LaunchAgent, shown: HeldItem, row: Any, timeout_seconds: float
) -> bool:
    """Whether the item would become the agent's when it resumes. One that has ended would not."""
    if row.state not in HELD or row.agent_id == found.id or row.lease_number != shown.lease:
        return False
    holder = agents.find_agent(connection, viewer, row.agent_id or "")
    return holder is None or _is_succeeded(holder, AgentIdentity(incarnation=found.incarnation), timeout_seconds)
