"""Acknowledgements: LEASED -> CLAIMED under one lease, with the run that the item becomes.

An item whose acknowledgement can never succeed fails with that reason, so that it is not leased again and again.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, String, bindparam, select, update

from launchd.server.errors import Refused
from launchd.server.models import EntityRecord, Item, ItemAck, ItemAnswer, ItemResult, Role, Viewer
from launchd.server.store.accounts import principals
from launchd.server.store.accounts.authorization import binds
from launchd.server.store.launch import items, restored
from launchd.server.store.launch.served import is_served
from launchd.server.store.launch.states import CLAIMED, ENDED, FAILED, HELD, LEASED
from launchd.server.store.runs import runs
from launchd.server.store.tables import entities, launch_agents, memberships, run_queue_items

item = run_queue_items.c
_ENTITY = select(*principals.ENTITY_COLUMNS).where(entities.c.name == bindparam("of_name"))
_ENTITY_OF_AUTHOR = _ENTITY.join(memberships).where(
    memberships.c.user_id == bindparam("of_author"), memberships.c.role >= int(Role.MEMBER)
)
# Only the lease that was read, not one that another agent may have got since.
_AS_READ = update(run_queue_items).where(
    item.id == bindparam("of_id"), item.state == bindparam("of_state"), item.lease_number == bindparam("of_lease")
)
_CLAIM = _AS_READ.where(is_served(item.queue_id, bindparam("to_agent", type_=String))).values(
    state=CLAIMED,
    agent_id=bindparam("to_agent", type_=String),
    lease_number=bindparam("new_lease"),
    lease_ends_at=None,
    claim_id=None,
    run_name=bindparam("new_run_name"),
    follows_run=bindparam("follows"),
)
_FAIL = (
    update(run_queue_items)
    .where(
        item.id == bindparam("of_id"),
        item.state == LEASED,
        item.lease_number == bindparam("of_lease"),
        is_served(item.queue_id, bindparam("of_agent", type_=String)),
    )
    .values(
        state=FAILED,
        status="failed",
        message=bindparam("reason"),
        finished_at=bindparam("now"),
        lease_ends_at=None,
    )
)
_SET_RUN = update(run_queue_items).where(item.id == bindparam("of_id"))
_HOST = select(launch_agents.c.hostname).where(launch_agents.c.id == bindparam("of_id"))


def acknowledge_single(connection: Connection, viewer: Viewer, found: Item, run_name: str) -> bool:
    """W&B's acknowledgement. False: the item is not leased (any more). The item will end with its run.

    Raises:
        Refused: it can never succeed.
    """
    return found.state == LEASED and claim(connection, viewer, found, run_name, follows_run=True)


def acknowledge(connection: Connection, viewer: Viewer, agent_id: str, ack: ItemAck) -> ItemResult:
    """The acknowledgement of one lease by an agent of launchd's; taken again when it is repeated.

    Raises:
        Refused: it can never succeed.
    """
    found = restored.find_item(connection, viewer, agent_id, ack.item_id, lease=ack.lease)
    answer = _answer(connection, viewer, agent_id, found, ack)
    return ItemResult(item_id=ack.item_id, answer=answer, message=explain(connection, found, answer))


def _answer(connection: Connection, viewer: Viewer, agent_id: str, found: Item | None, ack: ItemAck) -> ItemAnswer:
    if found is None:
        return ItemAnswer.UNKNOWN
    if not is_of_lease(found, agent_id, ack.lease):
        return ItemAnswer.OVER if found.state in ENDED else ItemAnswer.LEASE_ENDED
    if found.state == CLAIMED and found.run_name == ack.run_name:
        return ItemAnswer.TAKEN
    if found.state == CLAIMED:
        return ItemAnswer.REFUSED
    if found.state == LEASED and claim(connection, viewer, found, ack.run_name, agent_id=agent_id):
        return ItemAnswer.TAKEN
    return ItemAnswer.OVER if found.state in ENDED else ItemAnswer.LEASE_ENDED


def is_of_lease(found: Item, agent_id: str, lease: int) -> bool:
    """Whether a request of the agent is about the item's last lease; one without a number is about the agent's."""
    return found.lease_number == lease if lease > 0 else found.agent_id == agent_id


def fail_refused(connection: Connection, viewer: Viewer, agent_id: str, ack: ItemAck, reason: Refused) -> ItemResult:
    """The answer to an acknowledgement that can never succeed; the item fails with the reason."""
    found = items.find_item(connection, viewer, ack.item_id)
    if found is not None and is_of_lease(found, agent_id, ack.lease):
        fail_single(connection, viewer, found, reason, agent_id=agent_id)
    return ItemResult(item_id=ack.item_id, answer=ItemAnswer.REFUSED, message=str(reason))


def fail_single(
    connection: Connection, viewer: Viewer, found: Item, reason: Refused, *, agent_id: str | None = None
) -> None:
    """Fail an item whose acknowledgement can never succeed, under the lease that was read."""
    values = {
        "of_id": found.id,
        "of_lease": found.lease_number,
        "of_agent": agent_id or found.agent_id,
        "reason": str(reason),
        "now": time.time(),
    }
    connection.execute(_FAIL, values | binds(viewer))


def claim(
    connection: Connection,
    viewer: Viewer,
    found: Item,
    run_name: str,
    *,
    agent_id: str | None = None,
    lease: int | None = None,
    follows_run: bool = False,
) -> bool:
    """Make the item CLAIMED, as it was read, and create its run. False: it has changed since.

    `agent_id` and `lease` are those that it gets; None leaves them. `follows_run`: no agent will report the item's end,
    so it ends with its run.

    Raises:
        Refused: the run cannot be created.
    """
    principals.check_name("run", run_name)
    values = {
        "of_id": found.id,
        "of_state": found.state,
        "of_lease": found.lease_number,
        "to_agent": agent_id or found.agent_id,
        "new_lease": found.lease_number if lease is None else lease,
        "new_run_name": run_name,
        "follows": follows_run,
    }
    if connection.execute(_CLAIM, values | binds(viewer)).rowcount == 0:
        return False
    run_id = _ensure_run(connection, found, run_name)
    connection.execute(_SET_RUN, {"of_id": found.id, "run_id": run_id})
    return True


def _ensure_run(connection: Connection, found: Item, run_name: str) -> int:
    spec = msgspec.json.decode(found.run_spec)
    entity = _entity_of_run(connection, spec, found)
    name = (_text(spec.get("project")) or principals.UNCATEGORIZED).lower()
    project, _ = principals.ensure_project(connection, entity, name)
    run_id = runs.ensure_run(connection, project.id, run_name, _text(spec.get("name")), found.author_id)
    if found.stop_requested:
        runs.request_stop(connection, run_id)
    return run_id


def _entity_of_run(connection: Connection, spec: Mapping[str, Any], found: Item) -> EntityRecord:
    """The entity the spec names if the item's author may still make runs there, else the queue's."""
    named = {"of_name": _text(spec.get("entity")) or found.entity_name, "of_author": found.author_id}
    own = {"of_name": found.entity_name}
    row = connection.execute(_ENTITY_OF_AUTHOR, named).first() or connection.execute(_ENTITY, own).one()
    return EntityRecord(**row._mapping)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def explain(connection: Connection, found: Item | None, answer: ItemAnswer) -> str | None:
    """A sentence about an answer that is a no; None for a yes."""
    if answer in (ItemAnswer.TAKEN, ItemAnswer.STALE):
        return None
    if found is None:
        return "The queue server has no such item that this agent may use."
    if answer is ItemAnswer.REFUSED:
        return f"The item was acknowledged for run {found.run_name!r} before."
    if found.state in ENDED:
        reason = f": {found.message}" if found.message else ""
        return f"The item has ended already, as {found.state}{reason}"
    if found.state in HELD:
        host = connection.execute(_HOST, {"of_id": found.agent_id}).scalar()
        where = f" to an agent on host {host!r}" if host else ""
        return f"The lease has ended, and the item was leased again{where}."
    return "The lease has ended, and the item waits in its queue again."
