"""Run queue items from push to end: the changes of their state, each guarded in SQL.

`leases` leases them, `acknowledgements` and `reports` take what agents say of them.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, String, bindparam, delete, insert, select, update

from launchd.server.errors import NotFound
from launchd.server.models import Item, ItemWarning, Queue, Viewer
from launchd.server.store.accounts.authorization import binds, may_serve
from launchd.server.store.clock import NOW
from launchd.server.store.ids import new_id
from launchd.server.store.launch.agent_texts import shorten
from launchd.server.store.launch.demands import NONE
from launchd.server.store.launch.served import is_served
from launchd.server.store.launch.states import CLAIMED, FAILED, HELD, PENDING, PREEMPTED, STOPPED
from launchd.server.store.runs import ends as run_ends
from launchd.server.store.runs import runs
from launchd.server.store.runs import states as run_states
from launchd.server.store.tables import entities, item_warnings, projects, run_queue_items, run_queues, users

_LONGEST_REASON = 2000
"""Characters of the reason of a stop: an agent keeps it in its journal, and shows it."""

item = run_queue_items.c
_AGENT = bindparam("of_agent", type_=String)
_ITEMS = (
    select(
        item.number,
        item.id,
        item.queue_id,
        run_queues.c.name.label("queue_name"),
        entities.c.name.label("entity_name"),
        item.state,
        item.priority,
        item.author_id,
        item.submitter_id,
        item.is_scheduler,
        users.c.name.label("author"),
        item.run_spec,
        item.demand,
        (NOW - item.passed_at).label("passed_seconds"),
        item.created_at,
        item.agent_id,
        item.lease_number,
        item.leased_at,
        item.run_name,
        item.status,
        item.phase,
        item.message,
        item.stage,
        item.exit_code,
        item.file_paths,
        item.started_at,
        item.finished_at,
        item.stop_requested,
        item.stop_reason,
    )
    .join(run_queues, run_queues.c.id == item.queue_id)
    .join(projects, projects.c.id == run_queues.c.project_id)
    .join(entities, entities.c.id == projects.c.entity_id)
    .outerjoin(users, users.c.id == item.author_id)
)
VISIBLE_ITEMS = _ITEMS.where(may_serve(projects.c.entity_id))
"""The items that a viewer may see; needs the values of `binds`."""
_BY_ID = VISIBLE_ITEMS.where(item.id == bindparam("of_id"))
_HELD_BY = VISIBLE_ITEMS.where(item.agent_id == _AGENT, item.state.in_(HELD)).order_by(item.number)
_OF_QUEUE = _ITEMS.where(item.queue_id == bindparam("of_queue"))
_ONE_OF_QUEUE = _OF_QUEUE.where(item.id == bindparam("of_id"))
_YOUNGEST_OF_QUEUE = _OF_QUEUE.order_by(item.number.desc()).limit(bindparam("most"))
_TO_PUT_BACK = (
    _ITEMS.where(
        item.queue_id == bindparam("of_queue"),
        item.run_name == bindparam("of_run"),
        item.state.in_((CLAIMED, PREEMPTED)),
        may_serve(projects.c.entity_id),
    )
    .order_by(item.number.desc())
    .limit(1)
)
_BY_KEY = select(item.id, item.run_spec).where(
    item.pushed_to == bindparam("of_queue"), item.push_key == bindparam("of_key"), item.push_key.is_not(None)
)
_INSERT = insert(run_queue_items)
_CHANGE = update(run_queue_items).where(
    item.id == bindparam("of_id"), item.state.in_(bindparam("of_states", expanding=True))
)
_STATE = select(item.state).where(item.id == bindparam("of_id"))
_STOPS = select(item.id, item.stop_reason).where(
    item.agent_id == _AGENT, item.state.in_(HELD), item.stop_requested, is_served(item.queue_id, _AGENT)
)


def pushed_before(connection: Connection, queue: Queue, key: str) -> tuple[str, str] | None:
    """Id and run spec of the item that was pushed to this queue with this idempotency key."""
    row = connection.execute(_BY_KEY, {"of_queue": queue.id, "of_key": key}).first()
    return (row.id, row.run_spec) if row else None


def push(
    connection: Connection,
    queue: Queue,
    run_spec: str,
    author_id: int | None,
    submitter_id: int | None,
    *,
    priority: int,
    is_scheduler: bool,
    demand: str = NONE,
    key: str | None = None,
) -> str:
    """Append an item that asks for the GPUs of `demand`. Returns its id. `key` must be unused in the queue."""
    item_id = new_id()
    row = {
        "id": item_id,
        "queue_id": queue.id,
        "state": PENDING,
        "priority": priority,
        "is_scheduler": is_scheduler,
        "author_id": author_id,
        "submitter_id": submitter_id,
        "run_spec": run_spec,
        "demand": demand,
        "push_key": key,
        "pushed_to": None if key is None else queue.id,
        "created_at": time.time(),
        "stop_requested": False,
    }
    connection.execute(_INSERT, row)
    return item_id


def item_of_row(row: Any) -> Item:
    """The item in a row of `VISIBLE_ITEMS`."""
    fields = dict(row._mapping)
    fields["run_spec"] = msgspec.Raw(fields["run_spec"])
    return Item(**fields)


def find_item(connection: Connection, viewer: Viewer, item_id: str) -> Item | None:
    """The item with this id, if the viewer may see it."""
    row = connection.execute(_BY_ID, {"of_id": item_id, **binds(viewer)}).first()
    return item_of_row(row) if row else None


def item_to_put_back(connection: Connection, viewer: Viewer, queue_id: str, run_name: str) -> Item | None:
    """The newest item of a queue that has become this run and was preempted, or is about to be reported so."""
    which = {"of_queue": queue_id, "of_run": run_name, **binds(viewer)}
    row = connection.execute(_TO_PUT_BACK, which).first()
    return item_of_row(row) if row else None


def require_item(connection: Connection, viewer: Viewer, item_id: str) -> Item:
    """Raises:
    NotFound: no such item that the viewer may see.
    """
    found = find_item(connection, viewer, item_id)
    if found is None:
        raise NotFound(f"There is no run queue item with the id {item_id[:100]!r} that you may use.")
    return found


def item_of_queue(connection: Connection, queue_id: str, item_id: str) -> Item | None:
    """The item, if it is in this queue."""
    row = connection.execute(_ONE_OF_QUEUE, {"of_queue": queue_id, "of_id": item_id}).first()
    return item_of_row(row) if row else None


def items_of_queue(connection: Connection, queue_id: str, limit: int) -> list[Item]:
    """Items of a queue, the newest first."""
    return [item_of_row(row) for row in connection.execute(_YOUNGEST_OF_QUEUE, {"of_queue": queue_id, "most": limit})]


def item_of_run(connection: Connection, run_id: int) -> str | None:
    """Id of the newest item behind a run."""
    wanted = select(item.id).where(item.run_id == run_id).order_by(item.number.desc()).limit(1)
    return connection.execute(wanted).scalar()


def id_of(connection: Connection, number: int) -> str | None:
    """The id of the item with this number."""
    return connection.execute(select(item.id).where(item.number == number)).scalar()


def fail(
    connection: Connection, found: Item, *, message: str | None, stage: str | None, file_paths: Sequence[str] | None
) -> bool:
    """LEASED or CLAIMED -> FAILED, with the reason. False: no agent holds the item."""
    done = _change(
        connection,
        found.id,
        HELD,
        {
            "state": FAILED,
            "status": "failed",
            "message": message,
            "stage": stage,
            "file_paths": _json(file_paths),
            "finished_at": time.time(),
        },
    )
    if done:
        run_id = _run_of(connection, found)
        if run_id is not None:
            run_ends.end(connection, run_id, run_states.FAILED, time.time())
    return done


def set_priority(connection: Connection, found: Item, priority: int) -> bool:
    """Give a waiting item another priority. False: it does not wait any more."""
    return _change(connection, found.id, (PENDING,), {"priority": priority})


def move(connection: Connection, found: Item, queue: Queue, priority: int) -> bool:
    """Put a waiting item into another queue, where it is as old as it is. False: it does not wait any more."""
    # How long it was passed was about the agents of the queue that it leaves.
    return _change(connection, found.id, (PENDING,), {"queue_id": queue.id, "priority": priority, "passed_at": None})


def warn(connection: Connection, found: Item, *, message: str, stage: str, file_paths: Sequence[str] | None) -> None:
    """Add a warning; an item may have several."""
    connection.execute(
        insert(item_warnings).values(
            item_number=found.number,
            message=message,
            stage=stage,
            file_paths=_json(file_paths),
            created_at=time.time(),
        )
    )


def warnings_of(connection: Connection, number: int) -> list[ItemWarning]:
    """Warnings of an item, the oldest first."""
    wanted = (
        select(item_warnings.c.message, item_warnings.c.stage, item_warnings.c.created_at)
        .where(item_warnings.c.item_number == number)
        .order_by(item_warnings.c.id)
    )
    return [ItemWarning(**row._mapping) for row in connection.execute(wanted)]


def stop(connection: Connection, found: Item, reason: str | None) -> str:
    """Stop a waiting item; for one held by an agent record the request. Returns the state after it."""
    reason = None if reason is None else shorten(reason, _LONGEST_REASON)
    wish = {"stop_requested": True, "stop_reason": reason}
    ended = {"state": STOPPED, "status": "stopped", "message": reason, "finished_at": time.time()}
    if _change(connection, found.id, (PENDING,), wish | ended):
        return STOPPED
    if _change(connection, found.id, HELD, wish):
        run_id = _run_of(connection, found)
        if run_id is not None:
            runs.request_stop(connection, run_id)
    # Another request may have changed it since it was read.
    return str(connection.execute(_STATE, {"of_id": found.id}).scalar() or found.state)


def held_by(connection: Connection, viewer: Viewer, agent_id: str, limit: int | None = None) -> list[Item]:
    """The items that an agent holds, as far as the viewer may see them, the oldest first."""
    rows = connection.execute(_HELD_BY.limit(limit), {"of_agent": agent_id, **binds(viewer)})
    return [item_of_row(row) for row in rows]


def stops_for(connection: Connection, viewer: Viewer, agent_id: str) -> list[tuple[str, str]]:
    """Id and reason of each item held by the agent that is asked to stop."""
    rows = connection.execute(_STOPS, {"of_agent": agent_id, **binds(viewer)})
    return [(row.id, row.stop_reason or "") for row in rows]


def remove(connection: Connection, queue_id: str, item_id: str) -> bool:
    """Delete an item, unless a job of it may be running."""
    gone = connection.execute(
        delete(run_queue_items).where(item.id == item_id, item.queue_id == queue_id, item.state != CLAIMED)
    )
    return gone.rowcount > 0


def _run_of(connection: Connection, found: Item) -> int | None:
    """Number of the item's run, if there is one."""
    return connection.execute(select(item.run_id).where(item.id == found.id)).scalar()


def _change(connection: Connection, item_id: str, states: Sequence[str], values: Mapping[str, Any]) -> bool:
    return connection.execute(_CHANGE, {"of_id": item_id, "of_states": states, **values}).rowcount > 0


def _json(paths: Sequence[str] | None) -> str | None:
    return None if paths is None else msgspec.json.encode(paths).decode()
